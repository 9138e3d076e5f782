"""Whether the deployment is well: both databases answer, the queue moves, runs succeed and come often enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from psycopg import sql

from hybrid_sync.errors import SyncError
from hybrid_sync.postgres import transaction
from hybrid_sync.runs.ended import VERIFIED_WEEKLY
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.answers import USUAL_AGE, Health

Part = Literal["ok", "away"]
Note = Callable[[str, SyncError], None]


def health(desk: Desk, note: Note) -> Health:
    """Ask each part; a part that does not answer is away, and `note` gets its error."""
    legacy, (target, last_run, verified), queue = _legacy(desk, note), _target(desk, note), _queue(desk, note)
    doubts = queue == "paused" or last_run in ("failed", "lost") or verified == "late"
    down = "away" in (legacy, target, queue)
    return Health(
        status="down" if down else "degraded" if doubts else "ok", entities=len(desk.catalog.entities), legacy=legacy,
        target=target, queue=queue, last_run=last_run, verified=verified, checked_at=desk.now(),
    )  # fmt: skip


def _legacy(desk: Desk, note: Note) -> Part:
    try:
        with desk.connect_legacy() as legacy, transaction(legacy, "legacy", read_only=True):
            legacy.execute("select 1")
    except SyncError as error:
        note("legacy", error)
        return "away"
    return "ok"


def _target(desk: Desk, note: Note) -> tuple[Part, str, Literal["in time", "late", "unknown"]]:
    try:
        with at_target(desk) as target:
            row = target.execute(_RUNS, {"age": USUAL_AGE}).fetchone()
    except SyncError as error:
        note("target", error)
        return "away", "unknown", "unknown"
    last_run, in_time = row if row is not None else (None, False)
    return "ok", last_run or "none", "in time" if in_time else "late"


def _queue(desk: Desk, note: Note) -> Literal["ok", "paused", "away"]:
    try:
        return "paused" if desk.gate.at_work()[2].paused else "ok"
    except SyncError as error:
        note("queue", error)
        return "away"


# A deployment that is younger than that is in time.
_RUNS = sql.SQL("""
select (select status from hybrid_sync.run where finished_at is not null and trigger <> 'retry'
        order by started_at desc limit 1),
       clock_timestamp() - coalesce(
         {},
         (select min(applied_at) from hybrid_sync.migration)) < make_interval(secs => %(age)s)
""").format(VERIFIED_WEEKLY)
