"""Webhooks: what is mapped to what, new secrets, and a signed sample."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr

from hybrid_sync.contracts import MAX_REFS, Message, Ref
from hybrid_sync.services.messages import Asked

SHORTEST_SECRET = 16
USUAL_HOURS = 24
"""How long a replaced secret still counts."""


class EventsAsked(Asked):
    """Nothing to say."""


class KnownSecret(Message):
    made_at: datetime
    until: datetime | None


class KnownEvent(Message):
    """`rows`: entity, and where the event has the legacy key."""

    event: str
    priority: str
    rows: tuple[str, ...]


class KnownSource(Message):
    source: str
    signed: str
    secrets: tuple[KnownSecret, ...]
    events: tuple[KnownEvent, ...]


class KnownEvents(Message):
    sources: tuple[KnownSource, ...]


class RotateAsked(Asked):
    """`secret`: the one that the sender has made; without it a new one is made.  `url`: where the sender sends to."""

    source: str
    secret: SecretStr | None = None
    url: Annotated[str, Field(pattern=r"^https?://[!-~]{1,500}$")]
    overlap_hours: Annotated[int, Field(ge=0, le=24 * 30)] = USUAL_HOURS


class Rotated(Message):
    """`secret` is its only readable copy; empty where the sender had made it."""

    source: str
    secret: str
    open: int
    """Secrets of the source that are valid now."""


class SignAsked(Asked):
    source: str
    event: str
    refs: Annotated[tuple[Ref, ...], Field(min_length=1, max_length=MAX_REFS)]


class SignedEvent(Message):
    """What a sender would send; `act`: what the run does with the rows, as in webhooks.yaml."""

    body: str
    headers: dict[str, str]
    act: str = "sync"
