"""What is at work: each run's lanes, how fast it goes, how long it still takes, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.postgres import Connection, together
from hybrid_sync.report.words import run_title
from hybrid_sync.services.progress import STEPS
from hybrid_sync.services.views.history import title_of
from hybrid_sync.services.views.model import Lane, Running
from hybrid_sync.services.waiting import Waits, ask_locks
from hybrid_sync.session import Question, dicts


def ask_running(run_id: str | None = None) -> Question[list[dict[str, Any]]]:
    """Runs that stand at work in the target; retries of the failure queue are none of them."""
    return dicts(_RUNNING, {"run": run_id})


def ask_lanes(run_id: str | None = None) -> Question[list[dict[str, Any]]]:
    """How far each entity is of the runs at work, or of one run."""
    query = STEPS.format(
        more=sql.SQL(
            "e.run_id, extract(epoch from clock_timestamp() - min(e.planned_at))::float8 as seconds,"
            " extract(epoch from max(b.done_at) - min(e.planned_at))::float8 as worked,"
        ),
        runs=_OF_THESE,
    )
    return dicts(query, {"run": run_id})


def running(
    runs: Sequence[dict[str, Any]],
    lanes: Sequence[dict[str, Any]],
    locks: Sequence[dict[str, Any]],
    catalog: Catalog,
    waits: Waits,
) -> tuple[Running, ...]:
    """The runs at work with their entities, speed and what they wait for; the oldest first."""
    return tuple(
        _one(
            run, [lane for lane in lanes if lane["run_id"] == run["run_id"]], catalog,
            waits.of(run["run_id"], locks, run["attempts"]),
        )
        for run in runs
    )  # fmt: skip


def waits_by_run(target: Connection, waits: Waits, run_id: str | None = None) -> dict[str, tuple[str, ...]]:
    """Of each run that is at work, or of one; those that wait for nothing are left out."""
    with together(target) as trip:
        runs, locks = trip.ask(ask_running(run_id)), trip.ask(ask_locks())
    found = {run["run_id"]: waits.of(run["run_id"], locks.value, run["attempts"]) for run in runs.value}
    return {name: said for name, said in found.items() if said}


def _one(run: Mapping[str, Any], rows: list[dict[str, Any]], catalog: Catalog, waits: tuple[str, ...]) -> Running:
    lanes = tuple(map(_lane, rows, [catalog] * len(rows)))
    planned, done = sum(lane.planned or 0 for lane in lanes), sum(lane.done for lane in lanes)
    read = sum(lane.rows for lane in lanes)
    seconds = float(run["seconds"])
    return Running(
        run_id=run["run_id"], title=title_of(dict(run)), status="running", priority=run["priority"],
        started_at=run["started_at"], waiting_for=waits, lanes=lanes, done=done, planned=planned, rows=read,
        failed=sum(lane.failed for lane in lanes), seconds_left=_left(done, planned, seconds),
        rows_per_second=round(read / seconds, 1) if read and seconds else None,
        unplanned=sum(lane.planned is None for lane in lanes),
    )  # fmt: skip


def _left(done: int, planned: int, seconds: float) -> float | None:
    """At the pace so far; None where nothing is planned, or nothing has been done yet."""
    return round((planned - done) * seconds / done, 1) if done and planned >= done else None


def _lane(row: dict[str, Any], catalog: Catalog) -> Lane:
    known = catalog.entities.get(row["entity"])
    seconds = row["worked"]
    names = ("entity", "status", "planned", "done", "rows", "failed", "compared")
    return Lane(
        **{name: row[name] for name in names}, title=known.title if known else row["entity"],
        rows_per_second=round(row["rows"] / seconds, 1) if row["rows"] and seconds else None,
    )  # fmt: skip


def next_attempt(run_id: str, standings: Sequence[Standing]) -> str:
    """What the next attempt of a scheduled run says, while it waits or is at work; empty where there is none."""
    named = Scheduled.named(run_id)
    coming = named.next.job_id if named else ""
    return next((one.why or f"Run {coming} tries again." for one in standings if one.job.job_id == coming), "")


def in_the_queue(standings: Sequence[Standing], begun: set[str], waits: Waits) -> tuple[Running, ...]:
    """Jobs that wait, by place, and those that were let in and that the target has no record of yet."""
    return tuple(
        Running(
            run_id=one.job.job_id, title=run_title(one.job.request.profile), status=one.job.status,
            priority=one.job.to_start.priority, started_at=one.job.accepted_at, place=one.place,
            waiting_for=(one.why.rstrip("."),) if one.why else () if one.place else _begins(one.job.job_id, waits),
        )
        for one in standings
        if one.job.job_id not in begun and one.job.status in ("waiting", "running")
    )  # fmt: skip


def _begins(run_id: str, waits: Waits) -> tuple[str, ...]:
    return (*waits.of_its_start(run_id), "its plan")


_OF_THESE = sql.SQL("""
e.run_id in (select r.run_id from hybrid_sync.run r where r.status = 'running' and r.trigger <> 'retry'
             and (%(run)s::text is null or r.run_id = %(run)s::text))
""")
_RUNNING: LiteralString = """
select r.run_id, r.profile, r.trigger, r.priority, r.started_at,
       extract(epoch from clock_timestamp() - r.started_at)::float8 as seconds,
       coalesce((select max(a.attempts) from hybrid_sync.batch_attempt a where a.run_id = r.run_id), 1) as attempts
from hybrid_sync.run r
where r.status = 'running' and r.trigger <> 'retry' and (%(run)s::text is null or r.run_id = %(run)s::text)
order by r.started_at
"""
