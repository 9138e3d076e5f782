"""What is at work: each run's lanes, how fast it goes, how long it still takes, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from hybrid_sync.admission.gate import Standing
from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.report.words import duration, run_title
from hybrid_sync.services.progress import STEPS
from hybrid_sync.services.views.history import title_of
from hybrid_sync.services.views.model import Holder, Lane, Running
from hybrid_sync.session import Question, dicts

_NO_RUN = "hybrid-sync"
"""What a session of ours is called that does not say for which run it works: it may be any of them."""


def ask_running(run_id: str | None = None) -> Question[list[dict[str, Any]]]:
    """Runs that stand at work in the target; retries of the failure queue are none of them."""
    return dicts(_RUNNING, {"run": run_id})


def ask_lanes(run_id: str | None = None) -> Question[list[dict[str, Any]]]:
    """Their entities."""
    query = STEPS.format(
        more=sql.SQL(
            "e.run_id, extract(epoch from clock_timestamp() - min(e.planned_at))::float8 as seconds,"
            " extract(epoch from max(b.done_at) - min(e.planned_at))::float8 as worked,"
        ),
        runs=_OF_THESE,
    )
    return dicts(query, {"run": run_id})


def ask_locks() -> Question[list[dict[str, Any]]]:
    """Sessions of ours that wait for a lock, and who holds it."""
    return dicts(_LOCKS, None)


def running(
    runs: Sequence[dict[str, Any]],
    lanes: Sequence[dict[str, Any]],
    locks: Sequence[dict[str, Any]],
    catalog: Catalog,
    away: str = "",
) -> tuple[Running, ...]:
    """The oldest first; `away` says which database they wait for."""
    return tuple(
        _one(
            run, [lane for lane in lanes if lane["run_id"] == run["run_id"]], _holders(locks, run["run_id"]), catalog,
            away,
        )
        for run in runs
    )  # fmt: skip


def _holders(locks: Sequence[dict[str, Any]], run_id: str) -> list[Holder]:
    """Whom a run waits for."""
    return [
        Holder(**{name: lock[name] for name in Holder.model_fields})
        for lock in locks
        if (run_id in lock["waiting"] or lock["waiting"] == _NO_RUN) and run_id not in lock["application"]
    ]


def _one(
    run: Mapping[str, Any], rows: list[dict[str, Any]], holders: list[Holder], catalog: Catalog, away: str
) -> Running:
    lanes = tuple(map(_lane, rows, [catalog] * len(rows)))
    planned, done = sum(lane.planned or 0 for lane in lanes), sum(lane.done for lane in lanes)
    read = sum(lane.rows for lane in lanes)
    seconds = float(run["seconds"])
    waits = [away.rstrip(".")] if away else []
    waits += [
        f"a lock in the target, held by {holder.user or 'another session'}"
        f"{f' ({holder.application})' if holder.application else ''}, session {holder.pid},"
        f" for {duration(holder.seconds)}; to end that session: select pg_terminate_backend({holder.pid})"
        for holder in holders
    ]
    if run["attempts"] > 1:
        waits.append(f"attempt {run['attempts']} of a page that others had locked")
    return Running(
        run_id=run["run_id"], title=title_of(dict(run)), status="running", priority=run["priority"],
        started_at=run["started_at"], waiting_for=tuple(waits), lanes=lanes, done=done, planned=planned, rows=read,
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


def in_the_queue(standings: Sequence[Standing], begun: set[str]) -> tuple[Running, ...]:
    """Jobs that wait, by place, and those that were let in and that the target has no record of yet."""
    return tuple(
        Running(
            run_id=one.job.job_id, title=run_title(one.job.request.profile), status=one.job.status,
            priority=one.job.to_start.priority, started_at=one.job.accepted_at, place=one.place,
            waiting_for=(one.why.rstrip("."),) if one.why else () if one.place else ("its plan",),
        )
        for one in standings
        if one.job.job_id not in begun and one.job.status in ("waiting", "running")
    )  # fmt: skip


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
# Sessions of one role see each other's; of others the name, the application and the process id are told to everybody.
_LOCKS: LiteralString = """
select a.application_name as waiting, h.pid, coalesce(h.usename, '') as "user", h.application_name as application,
       extract(epoch from clock_timestamp() - a.query_start)::float8 as seconds
from pg_stat_activity a
cross join lateral unnest(pg_blocking_pids(a.pid)) as blocking(pid)
join pg_stat_activity h on h.pid = blocking.pid
where a.datname = current_database() and a.usename = current_user and a.wait_event_type = 'Lock'
order by a.query_start, h.pid
"""
