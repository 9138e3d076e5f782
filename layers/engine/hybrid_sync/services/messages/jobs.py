"""What runs and waits; to cancel, to pause, to go on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from hybrid_sync.contracts import Message
from hybrid_sync.services.messages import Asked


class JobsAsked(Asked):
    """Of the whole deployment."""


class JobAnswer(Message):
    """One job: a run that waits (with its place and why), runs or has ended."""

    run_id: str
    status: str
    profile: str = ""
    priority: str = ""
    requested_by: str = ""
    accepted_at: datetime | None = None
    place: int | None = None
    why: str = ""
    answers_for: tuple[str, ...] = ()
    answered_by: str = ""


class Jobs(Message):
    """`waiting` counts all, of which the first are listed; `paused` says since when and why, or is empty."""

    jobs: tuple[JobAnswer, ...]
    waiting: int
    paused: str


class CancelAsked(Asked):
    run_id: Annotated[str, Field(min_length=1, max_length=120)]


class PauseAsked(Asked):
    reason: Annotated[str, Field(max_length=200)] = ""


class Resumed(Message):
    """The runs that started at once."""

    started: tuple[str, ...]
