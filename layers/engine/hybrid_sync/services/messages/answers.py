"""Answers of the services that the HTTP API passes on unchanged; importing them loads nothing heavy."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from hybrid_sync.contracts import Message

USUAL_AGE = int(timedelta(days=8).total_seconds())
"""A week and a day: what one weekly run after the other keeps."""
LONGEST_AGE = int(timedelta(days=90).total_seconds())


class Hold(Message):
    entity: str
    by: str | None
    why: str | None


class Holds(Message):
    holds: tuple[Hold, ...]


class Released(Message):
    released: tuple[str, ...]


class Accepted(Message):
    accepted: int


class Event(Message):
    """One thing that happened to the row.

    `what`: asked, inserted, updated, linked, deleted (by an undo: undone_inserted and so on), marked_deleted,
    brought_back, retired, differed, not_undone, failed, accepted, resolved.
    """

    at: datetime
    what: str
    run_id: str = ""
    profile: str = ""
    trigger: str = ""
    requested_by: str = ""
    undoes: str = ""
    """The run that this one, a rollback, took back."""
    detail: str = ""
    """A code: why it failed or was not undone, what a request found, which kind of difference."""


class History(Message):
    """The newest events first; `more` says that older ones were left out."""

    entity: str
    source: str
    key: tuple[int, ...]
    events: tuple[Event, ...]
    more: bool


class EntityFreshness(Message):
    """What was committed in legacy before `current_until` is in the target, verified; None before a first run.

    The last verification is that of the last run which was to verify the whole entity and came to an end with it.
    """

    entity: str
    current_until: datetime | None
    age_seconds: float | None
    verified_by: str | None
    verified_at: datetime | None
    verified: bool
    """Whether the last verification found what it should."""
    rolled_back: bool
    """That run was undone since, or is being undone."""
    held: bool
    failed_records: int
    """Rows that are not in the target as they should be: open, escalated or accepted."""


class FreshnessAnswer(Message):
    """`weekly_days`: since a weekly run has verified everything; None before the first."""

    at: datetime
    weekly_days: float | None
    entities: tuple[EntityFreshness, ...]


class Route(Message):
    """Where to read the entity from, for the next `ttl_seconds`; `why` holds codes, and is empty for the target.

    never_synced, stale, not_verified, rolled_back, held, target_away, or the code of a failure to ask.  `legacy_away`:
    legacy lets us in no more, so that it may be no way out; whoever can live with what speaks against the target reads
    it there.
    """

    entity: str
    serve: Literal["target", "legacy"]
    why: tuple[str, ...]
    ttl_seconds: int
    legacy_away: bool = False
    age_seconds: float | None = None
    failed_records: int | None = None


class Health(Message):
    """Words alone: whoever asks need not be known, so nothing here names a server, a run, a caller or a reason.

    `down` where a part does not answer without which no run can succeed; `degraded` where starts are paused, the last
    run did not end well, or no weekly run has verified everything for more than eight days.
    """

    status: Literal["ok", "degraded", "down"]
    entities: int
    legacy: Literal["ok", "away"]
    target: Literal["ok", "away"]
    queue: Literal["ok", "paused", "away"]
    last_run: str
    """How the last run that has ended did: succeeded, degraded, failed, cancelled, lost; none; unknown."""
    verified: Literal["in time", "late", "unknown"]
    checked_at: datetime
