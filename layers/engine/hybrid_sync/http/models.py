"""What the HTTP API answers: keys, codes and counts; never a value of a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from hybrid_sync.contracts import Message


class StartedSync(Message):
    """A run that starts as soon as it may, and where to ask how it goes.

    Of a dry run, which is none, only whether it would start or would wait, and `why`.
    """

    run_id: str = ""
    status: str
    status_url: str = ""
    why: str = ""


class EntityProgress(Message):
    """How far one entity of a run is; `batches` is None before its plan, `compared` where nothing is compared."""

    entity: str
    status: str
    batches: int | None
    batches_done: int
    rows_read: int
    rows_failed: int
    compared: int | None = None
    differing: int | None = None
    healed: int = 0


class SyncState(Message):
    """How far a run is; its report whole, or without its lists where an answer cannot hold them (`report_cut`).

    One that waits has its `place` in the queue, and `why`; one that another run answers for, which waited for the same
    rows, is as that run is (`answered_by`).  `entities` is None where the target does not answer.
    """

    run_id: str
    status: str
    place: int | None = None
    why: str = ""
    answered_by: str = ""
    started_at: str | None
    finished_at: str | None
    entities: tuple[EntityProgress, ...] | None = None
    report: dict[str, Any] | None
    report_cut: tuple[str, ...] = ()


class ListedSync(Message):
    """One run of a list; one that waits has its `place` in the queue, and `why`."""

    run_id: str
    status: str
    profile: str
    trigger: str
    priority: str
    requested_by: str
    correlation_id: str
    started_at: datetime | None
    finished_at: datetime | None
    place: int | None
    why: str
    status_url: str


class Syncs(Message):
    """What waits, then the runs, the newest first; `next` is the `cursor` of the page after, None on the last one."""

    syncs: tuple[ListedSync, ...]
    next: str | None


class CancelledSync(Message):
    """How the run stands after that; one that is at work ends within moments."""

    run_id: str
    status: str
    status_url: str


class UndoneEntity(Message):
    """What a rollback would take back of one entity, in rows, as far as nobody has changed them since."""

    entity: str
    inserted: int
    updated: int
    linked: int
    deleted: int


class SyncRollback(Message):
    """A preview: what would be taken back, or `why` it would be refused.

    Else how far the rollback is: `more` asks for the same request again, with `rollback_id`.  `conflicts` counts rows
    that were left alone, by reason; `failed` entities are not undone, or would not be; `held` ones stay as they are
    until they are released.
    """

    run_id: str
    preview: bool
    possible: bool = True
    why: str = ""
    would_undo: tuple[UndoneEntity, ...] = ()
    rollback_id: str = ""
    more: bool = False
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    conflicts: dict[str, int] = Field(default_factory=dict)
    failed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    status_url: str = ""


class FailedRecord(Message):
    """One legacy row that is not in the target as it should be, by its key; `remedy` says what to do about it."""

    entity: str
    source: str
    key: tuple[int, ...]
    rows: int
    reason: str
    remedy: str
    sqlstate: str | None
    constraint: str | None
    column: str | None
    waits_for: dict[str, Any] | None
    present: bool
    status: str
    attempts: int
    first_run: str
    last_run: str
    first_seen: datetime
    last_seen: datetime
    ended_by: str | None
    accepted_why: str | None


class FailedRecords(Message):
    """A page; `total` counts all that fit from this page on; `next` is the `cursor` of the page after."""

    failures: tuple[FailedRecord, ...]
    total: int
    next: str | None


class RedrivenRecords(Message):
    """`records` this call has handed to the queue; `more` asks for the same request again, with `redrive_id`.  `left`:
    no message may name these, because they have no key, or because their entity is held."""

    redrive_id: str
    records: int
    left: int
    more: bool
