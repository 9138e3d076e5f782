"""How far a run is: each entity's batches and comparisons, the state of its execution, and which sessions it waits
for in the target."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from hybrid_sync.errors import KEPT_OUT, RunNotFound
from hybrid_sync.postgres import Connection, answer, together
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.runs import Progress, ProgressAsked, Step
from hybrid_sync.services.waiting import ask_attempts, ask_locks, attempt, holders, waits
from hybrid_sync.session import Question, dicts


def progress(desk: Desk, asked: ProgressAsked, _: str) -> Progress:
    """RunNotFound where the state machine does not know the run."""
    run_id, why = asked.run_id, ""
    try:
        standing = desk.gate.standing(run_id)
        why = standing.why
        run_id = standing.job.into or run_id
        if standing.place is not None:
            return Progress(run_id=run_id, status="waiting", why=standing.why, steps=())
        if standing.job.status == "cancelled" and not standing.job.starter:
            return Progress(run_id=run_id, status="cancelled", never_began=True, steps=())
    except RunNotFound:
        pass  # started past the gate, or forgotten as a job
    state = desk.executions.state(run_id)
    slowed = waits(desk).slowed(run_id) if state.status == "running" else ()
    try:
        with at_target(desk) as target, together(target) as trip:
            lanes, locks, tries = trip.ask(_ask_steps(run_id)), trip.ask(ask_locks()), trip.ask(ask_attempts(run_id))
    except KEPT_OUT:  # the run waits for its target with its own patience; whoever watches it waits with it
        return Progress(status=state.status, why=state.why or why, steps=None, run_id=run_id, slowed=slowed)
    return Progress(
        status=state.status, why=state.why or why, steps=tuple(_step_lines(desk, lanes.value)), run_id=run_id,
        waits_for=holders(locks.value, run_id), attempt=attempt(tries.value[0]["attempts"]), slowed=slowed,
    )  # fmt: skip


def steps(desk: Desk, target: Connection, run_id: str) -> list[Step]:
    """Every entity of the run in write order; empty before the run is planned."""
    return _step_lines(desk, answer(target, _ask_steps(run_id)))


def _ask_steps(run_id: str) -> Question[list[dict[str, Any]]]:
    return dicts(STEPS.format(more=sql.SQL(""), runs=sql.SQL("e.run_id = %(run)s")), {"run": run_id})


def _step_lines(desk: Desk, rows: list[dict[str, Any]]) -> list[Step]:
    known = desk.catalog.entities
    return [Step(**row, title=known[row["entity"]].title if row["entity"] in known else row["entity"]) for row in rows]


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
       coalesce((e.reconcile->>'healed')::bigint, 0) as healed,
       coalesce((e.conservation->>'stale')::int + (e.conservation->>'absent')::int, 0) as missed
from hybrid_sync.run_entity e
left join hybrid_sync.batch_done b on b.run_id = e.run_id and b.entity = e.entity
where {runs}
group by e.run_id, e.entity
order by e.run_id, e.wave, e.entity
""")
"""How far each entity of some `runs` is; `more` columns come first."""
