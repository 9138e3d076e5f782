"""The audit trail, read and verified."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from hybrid_sync.contracts import Message
from hybrid_sync.services.messages import Asked

Result = Literal["done", "refused", "failed"]


class TrailAsked(Asked):
    """The newest lines first; `before` is the id of the last line of the page before."""

    who: str | None = None
    """Exactly, or its end behind a `/` or `:`, such as a user's name or a token's id."""
    command: str | None = None
    """A command's name, or an endpoint's method and path."""
    outcome: Result | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    before: int | None = None


class Line(Message):
    """One act.  `what` holds identifiers, numbers and people's own words, and no value of a row."""

    id: int
    at: datetime
    who: str
    source_ip: str
    command: str
    what: dict[str, Any]
    outcome: Result
    code: str
    request_id: str


class Trail(Message):
    """`every` are all that fit, from this page on."""

    lines: tuple[Line, ...]
    every: int


class VerifyAsked(Asked):
    """Behind this line, whose hash the answer before has given."""

    after: int = 0


class Verified(Message):
    """`broken`: lines that are not as they were written, or behind one that is gone; `lost`: lines that a copy has, and
    the target has not, or not as the copy has them; `gaps`: lines before which copies are missing.  Behind `copied` no
    copy protects the trail's end yet.
    """

    lines: int
    broken: tuple[int, ...]
    lost: tuple[int, ...]
    gaps: tuple[int, ...] = ()
    copied: int
    next: int | None = None
