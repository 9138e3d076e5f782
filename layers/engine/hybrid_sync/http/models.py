"""What the HTTP API answers: keys, codes and counts; never a value of a row."""

from __future__ import annotations

from typing import Any

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


class Health(Message):
    """Somebody is there, and knows so many entities."""

    status: str
    entities: int
