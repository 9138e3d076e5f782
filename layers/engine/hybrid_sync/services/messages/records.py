"""Failed records and what differs: page by page, accepted, tried again; and the life of one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from hybrid_sync.contracts import Key, Message, Ref
from hybrid_sync.services.messages import PAGE_ROWS, Asked
from hybrid_sync.services.messages.runs import RunName

Position = tuple[str, str, Key]
"""Entity, source and key of a list's last row."""


class FindingsAsked(Asked):
    """`differences_after`, `failed_after`: where the page before ended."""

    run_id: str
    differences_after: Position | None = None
    failed_after: Position | None = None


class Findings(Message):
    """A page of both lists; the run and its entities come with each, and `more` says that rows are left."""

    summary: dict[str, Any]
    checked: tuple[dict[str, Any], ...]
    differences: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]
    more: bool


def last_position(rows: Sequence[dict[str, Any]]) -> Position | None:
    """Where a page of them ended."""
    return (rows[-1]["entity"], rows[-1]["source"], tuple(rows[-1]["key"])) if rows else None


class FailuresAsked(Asked):
    """Which of the failed records; `everything`: resolved ones too; `after`: where the page before ended."""

    run_id: str | None = None
    entity: str | None = None
    reason: str | None = None
    everything: bool = False
    limit: Annotated[int, Field(ge=1, le=PAGE_ROWS)] = PAGE_ROWS
    after: Position | None = None


class Failures(Message):
    """A page; `every` are all that fit, from this page on; `remedies` by reason."""

    records: tuple[dict[str, Any], ...]
    every: int
    remedies: dict[str, str]


class AcceptAsked(Asked):
    """`source` may stay open where the entity has one; the empty key stands for the rows without a complete key."""

    entity: str
    source: str | None = None
    keys: Annotated[tuple[Key, ...], Field(min_length=1)]
    by: str | None = None
    why: Annotated[str, Field(min_length=1)]


class RedriveAsked(Asked):
    """What fits all that is given; `all` where nothing is.  `again`: a further call of the same redrive."""

    redrive_id: RunName
    entity: str | None = None
    source: str | None = None
    keys: Annotated[tuple[Annotated[Key, Field(min_length=1)], ...], Field(max_length=PAGE_ROWS)] = ()
    reason: str | None = None
    all: bool = False
    again: bool = False

    @property
    def goes_on(self) -> bool:
        return self.again


class Redriven(Message):
    """`records` this call has handed to the queue; `more` asks for another call.  `left`: no message may name these,
    because they have no key, or because their entity is held.  `paused`: since when, by whom and why nothing is tried
    although it was handed over; empty where the queue goes on, or where nobody could say."""

    records: int
    messages: int
    left: int
    more: bool
    paused: str = ""


MOST_EVENTS = 500


class HistoryAsked(Asked):
    """Which row; an entity of one source needs no `source`."""

    ref: Ref
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = MOST_EVENTS
