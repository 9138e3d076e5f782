"""Summarise a run from the target's own records, so that a report can be made again at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from pydantic import ValidationError

from hybrid_sync.contracts import OnFailure
from hybrid_sync.errors import no_such_run
from hybrid_sync.postgres import together
from hybrid_sync.recorded.checks import Deletes, Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.recorded.money import MoneyLine
from hybrid_sync.report.analysis import MissedRecord, Undeleted, causes
from hybrid_sync.report.asked import asked_rows
from hybrid_sync.report.blind_spots import not_looked_at
from hybrid_sync.report.history import ask_past, past_runs
from hybrid_sync.report.missed import missed_causes, missed_records
from hybrid_sync.report.model import (
    Counts,
    EntitySummary,
    Failure,
    RunSummary,
    StateFailure,
    WorkerPeak,
)
from hybrid_sync.report.rollback import ask_undoes, rollback_of
from hybrid_sync.report.scope import scope_of
from hybrid_sync.report.undeleted import ask_undeleted
from hybrid_sync.runs.ended import STATUS, UNDONE_BY
from hybrid_sync.session import Trip, dicts

if TYPE_CHECKING:
    from hybrid_sync.catalog.catalog import Catalog


def summarise(
    target: psycopg.Connection[Any], run_id: str, catalog: Catalog, also: Callable[[Trip], None] = lambda _: None,
    *, compared: bool = True,
) -> RunSummary:  # fmt: skip
    """The run as it stands; for a run in flight, what it has done so far.  `compared`: with the runs before it.

    Reads only, in one round trip, in which the caller may ask `also`.  Entities that have left the catalog keep their
    bare names.  Raises RunNotFound.
    """
    given = {"run": run_id}
    with together(target) as trip:
        found, entity_rows = trip.ask(dicts(_RUN, given)), trip.ask(dicts(_ENTITIES, given))
        missed_of = missed_causes(trip, run_id, catalog)
        records = trip.ask(missed_records(run_id))
        earlier = trip.ask(ask_past(run_id)) if compared else None
        workers, failures = trip.ask(dicts(_WORKERS, given)), trip.ask(dicts(_FAILURES, given))
        asked, undoes = trip.ask(asked_rows(run_id)), trip.ask(ask_undoes(run_id))
        stayed = trip.ask(ask_undeleted(run_id, [name for name, e in catalog.entities.items() if e.money]))
        also(trip)
    if not found.value:
        raise no_such_run(run_id)
    [run] = found.value
    undeleted = [Undeleted(**row) for row in stayed.value]
    entities = tuple(_entity(row, catalog, undeleted) for row in entity_rows.value)
    missed = missed_of({e.entity: e.conservation for e in entities if e.conservation})
    past = past_runs(earlier.value) if earlier else ()
    request = run.pop("request")
    return RunSummary(
        **run,
        scope=scope_of(request, entities, catalog),
        on_failure=request.get("on_failure", OnFailure.keep),
        act=request.get("act", "sync"),
        asked=asked.value,
        rollback=rollback_of(target, run_id, undoes.value, catalog),
        entities=entities,
        missed=missed,
        causes=causes(missed, [run.missed for run in past]),
        records=tuple(MissedRecord(**row) for row in records.value),
        past=past,
        not_looked_at=not_looked_at(entities, catalog),
        workers=tuple(WorkerPeak(**row) for row in workers.value),
        failures=tuple(StateFailure(**row) for row in failures.value),
    )


def recall(target: psycopg.Connection[Any], run_id: str, catalog: Catalog) -> RunSummary:
    """The report that was made when the run ended, else the run as it stands.

    Failed records move on after a run (they are retried, resolved, ignored); the stored report keeps what was
    true at its end.  Raises RunNotFound.
    """
    row = target.execute(_RECALLED, {"run": run_id}).fetchone()
    if row is not None and row[0] is not None:
        try:
            return RunSummary.model_validate(row[0]).model_copy(update={"status": row[1], "undone_by": row[2]})
        except ValidationError:
            pass  # an older release wrote it in another shape; the records it was made of are still there
    return summarise(target, run_id, catalog)


def _entity(row: dict[str, Any], catalog: Catalog, undeleted: Sequence[Undeleted]) -> EntitySummary:
    entity = catalog.entities.get(row["entity"])
    counts = Counts(**{name: row[name] for name in Counts.model_fields})
    seconds: float | None = row["seconds"]
    links = row["links"] or {}
    return EntitySummary(
        entity=row["entity"],
        title=entity.title if entity else row["entity"],
        wave=row["wave"],
        status=row["status"],
        detection=row["detection"],
        detection_reason=row["detection_reason"],
        counts=counts,
        batches_planned=row["batches_planned"],
        batches_done=row["batches_done"],
        keys_planned=row["keys_planned"],
        conservation=Conservation.model_validate(row["conservation"]) if row["conservation"] else None,
        # The sum over a row or two that a request names is as good as their cells: it stays in the target.
        money=() if row["detection"] == "keys" else tuple(map(MoneyLine.model_validate, row["money"] or ())),
        headline=next((m.column for m in entity.money if m.headline), None) if entity else None,
        references=tuple(ReferenceLine.model_validate(line) for line in row["reference_counts"] or ()),
        reconcile=Reconcile.model_validate(row["reconcile"]) if row["reconcile"] else None,
        deletes=Deletes.model_validate(row["deletes"]) if row["deletes"] else None,
        undeleted=tuple(some for some in undeleted if some.entity == row["entity"]),
        warnings=tuple(row["warnings"] or ()),
        hidden_rows=tuple(row["hidden_rows"] or ()),
        links_made=links.get("linked", 0),
        links_pending=links.get("pending", 0),
        fence_advanced=row["fence_advanced"],
        complete_until=row["complete_until"],
        seconds=seconds,
        rows_per_second=round(counts.read / seconds, 1) if seconds and counts.read else None,
        failure=Failure(**row["failure"]) if row["failure"] else None,
    )


_RUN = sql.SQL("""
select r.run_id, r.profile, r.trigger, r.priority, r.request, {status} as status, {undone_by} as undone_by,
       r.started_at, r.finished_at,
       round(extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at)::numeric, 3)::float8
         as seconds
from hybrid_sync.run r where r.run_id = %(run)s
""").format(status=STATUS, undone_by=UNDONE_BY)
_RECALLED = sql.SQL("select r.report, {}, {} from hybrid_sync.run r where r.run_id = %(run)s").format(STATUS, UNDONE_BY)

# What is complete until when: the fence that the run moved to, else the one that it began with, else the entity's own
# if that is not younger than the run.  Columns that came
# with later migrations are asked for by name in JSON, so that a report can be made of a target that lacks them.
_ENTITIES = """
select e.entity, e.wave, e.status, e.detection, e.detection_reason, e.batches_planned, e.keys_planned,
       e.conservation, e.money, e.links, e.failure, e.fence_advanced,
       to_jsonb(e)->'reconcile' as reconcile, to_jsonb(e)->'deletes' as deletes,
       to_jsonb(e)->'reference_counts' as reference_counts, to_jsonb(e)->'warnings' as warnings,
       to_jsonb(e)->'hidden_rows' as hidden_rows,
       coalesce(case when e.fence_advanced then r.fence->>'taken_at' else e.fence_at_start->'fence'->>'taken_at' end,
                case when f.advanced_at <= coalesce(r.finished_at, 'infinity') then f.fence->>'taken_at' end
       )::timestamptz as complete_until,
       coalesce(b.done, 0) as batches_done,
       coalesce(b.read, 0) as read, coalesce(b.retried, 0) as retried,
       coalesce(b.inserted, 0) as inserted, coalesce(b.updated, 0) as updated,
       coalesce(b.unchanged, 0) as unchanged, coalesce(b.failed, 0) as failed,
       coalesce(b.excluded, 0) as excluded, coalesce(b.resolved, 0) as resolved,
       round(extract(epoch from b.last_done - e.planned_at)::numeric, 3)::float8 as seconds
from hybrid_sync.run_entity e
join hybrid_sync.run r on r.run_id = e.run_id
left join hybrid_sync.fence f on f.entity = e.entity
left join lateral (
  select count(*) filter (
           where result is not null and to_jsonb(d)->>'until' is null and to_jsonb(d)->>'step' is distinct from 'settle'
         ) as done,
         max(done_at) as last_done,
         sum((result->>'read')::bigint)::bigint as read,
         sum((result->>'retried')::bigint)::bigint as retried,
         sum((result->>'inserted')::bigint)::bigint as inserted,
         sum((result->>'updated')::bigint)::bigint as updated,
         sum((result->>'unchanged')::bigint)::bigint as unchanged,
         sum((result->>'failed')::bigint)::bigint as failed,
         sum((result->>'excluded')::bigint)::bigint as excluded,
         sum((result->>'resolved')::bigint)::bigint as resolved
  from hybrid_sync.batch_done d where d.run_id = e.run_id and d.entity = e.entity
) b on true
where e.run_id = %(run)s
order by e.wave, e.entity
"""

_WORKERS = """
select function, count(*) as workers, round(max(peak_rss_kib) / 1024.0, 1)::float8 as peak_rss_mib,
       max(memory_mib) as memory_mib
from hybrid_sync.run_worker where run_id = %(run)s
group by function order by function
"""

_FAILURES = """
select entity, state, error, cause from hybrid_sync.run_failure where run_id = %(run)s order by failure_id
"""
