"""How far a run is, for whoever watches it: each entity's batches and comparisons, how its execution stands, and for
whom it waits in the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import sql

from hybrid_sync.contracts import Message
from hybrid_sync.errors import RunNotFound, TargetUnavailable
from hybrid_sync.postgres import Connection, answer, together
from hybrid_sync.report.words import duration
from hybrid_sync.retries import CONTENDED_PAGE
from hybrid_sync.services.desk import Asked, Desk, at_target
from hybrid_sync.session import Question, dicts

_NO_RUN = "hybrid-sync"
"""What a session of ours is called that does not say for which run it works: it may be any of them."""


class ProgressAsked(Asked):
    run_id: str


class Step(Message):
    """How far one entity of a run is; `planned` is None before its plan, `compared` where no reconcile has begun."""

    entity: str
    title: str
    status: str
    planned: int | None
    done: int
    rows: int
    failed: int
    reads: bool = True
    """False in a check, which reads no changes."""
    compared: int | None = None
    """Rows whose contents were compared on both sides so far."""
    differing: int | None = None
    """Of these, the rows that differed; None before all are compared."""
    healed: int = 0


class Holder(Message):
    """Who holds a lock that a session of ours waits for."""

    pid: int
    user: str
    application: str
    seconds: float
    """How long ours has waited."""

    @property
    def name(self) -> str:
        """The same as long as it is the same holder."""
        of = f" ({self.application})" if self.application else ""
        return f"a lock in the target, held by {self.user or 'another session'}{of}, session {self.pid}"

    @property
    def in_words(self) -> str:
        end = f"to end that session: select pg_terminate_backend({self.pid})"
        return f"{self.name}, for {duration(self.seconds)}; {end}"


class Progress(Message):
    """`status` is waiting, running, succeeded, failed, cancelled or lost; `steps` is None while the target is away.

    `why`: what it waits for, or what ended it.  `run_id` is the run that answers for the one asked for: mostly itself.
    """

    run_id: str
    status: str
    why: str = ""
    never_began: bool = False
    """It was cancelled while it waited: there is nothing to report."""
    steps: tuple[Step, ...] | None
    waits_for: tuple[Holder, ...] = ()
    attempt: str = ""
    """Which one of how many, where a page is tried again."""


def progress(desk: Desk, asked: ProgressAsked, _: str) -> Progress:
    """RunNotFound where the state machine does not know the run."""
    run_id, waits = asked.run_id, ""
    try:
        standing = desk.gate.standing(run_id)
        waits = standing.why
        run_id = standing.job.into or run_id
        if standing.place is not None:
            return Progress(run_id=run_id, status="waiting", why=standing.why, steps=())
        if standing.job.status == "cancelled" and not standing.job.starter:
            return Progress(run_id=run_id, status="cancelled", never_began=True, steps=())
    except RunNotFound:
        pass  # started past the gate, or forgotten as a job
    state = desk.executions.state(run_id)
    try:
        with at_target(desk) as target, together(target) as trip:
            lanes, locks, tries = trip.ask(_ask_steps(run_id)), trip.ask(ask_locks()), trip.ask(ask_attempts(run_id))
    except TargetUnavailable:  # the run waits for its target with its own patience; whoever watches it waits with it
        return Progress(status=state.status, why=state.why or waits, steps=None, run_id=run_id)
    return Progress(
        status=state.status, why=state.why or waits, steps=tuple(_told(desk, lanes.value)), run_id=run_id,
        waits_for=holders(locks.value, run_id), attempt=attempt(tries.value[0]["attempts"]),
    )  # fmt: skip


def steps(desk: Desk, target: Connection, run_id: str) -> list[Step]:
    """Every entity of the run in write order; empty before the run is planned."""
    return _told(desk, answer(target, _ask_steps(run_id)))


def _ask_steps(run_id: str) -> Question[list[dict[str, Any]]]:
    return dicts(STEPS.format(more=sql.SQL(""), runs=sql.SQL("e.run_id = %(run)s")), {"run": run_id})


def _told(desk: Desk, rows: list[dict[str, Any]]) -> list[Step]:
    known = desk.catalog.entities
    return [Step(**row, title=known[row["entity"]].title if row["entity"] in known else row["entity"]) for row in rows]


def ask_locks() -> Question[list[dict[str, Any]]]:
    """Sessions of ours that wait for a lock, and who holds it."""
    return dicts(_LOCKS, None)


def ask_attempts(run_id: str) -> Question[list[dict[str, Any]]]:
    """How often the run has tried its most contended page: one row, `attempts`."""
    return dicts(_ATTEMPTS, {"run": run_id})


def holders(locks: Sequence[dict[str, Any]], run_id: str) -> tuple[Holder, ...]:
    """Whom the run waits for, of the `locks` that were found."""
    return tuple(
        Holder(**{name: lock[name] for name in Holder.model_fields})
        for lock in locks
        if (run_id in lock["waiting"] or lock["waiting"] == _NO_RUN) and run_id not in lock["application"]
    )


def attempt(number: int) -> str:
    """In words, from the second on; empty before."""
    return f"attempt {number} of {CONTENDED_PAGE.attempts} of a page that others had locked" if number > 1 else ""


STEPS = sql.SQL("""
select {more} e.entity, e.status, e.batches_planned + coalesce((e.reconcile->>'heal_batches')::int, 0) as planned,
       count(b.result) filter (where b.until is null and b.step = 'batch')::int as done,
       coalesce(sum((b.result->>'read')::bigint), 0)::bigint as rows,
       coalesce(sum((b.result->>'failed')::bigint), 0)::bigint as failed,
       e.detection is distinct from 'none' as reads,
       case when e.reconcile is not null then coalesce((e.reconcile->>'rows_checked')::bigint, (
         select coalesce(sum(s.legacy_rows), 0)::bigint from hybrid_sync.reconcile_segment s
         where s.run_id = e.run_id and s.entity = e.entity)) end as compared,
       (e.reconcile->>'differing')::bigint as differing,
       coalesce((e.reconcile->>'healed')::bigint, 0) as healed
from hybrid_sync.run_entity e
left join hybrid_sync.batch_done b on b.run_id = e.run_id and b.entity = e.entity
where {runs}
group by e.run_id, e.entity
order by e.run_id, e.wave, e.entity
""")
"""How far each entity of some `runs` is; `more` columns come first."""

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
_ATTEMPTS: LiteralString = """
select coalesce(max(attempts), 1) as attempts from hybrid_sync.batch_attempt where run_id = %(run)s
"""
