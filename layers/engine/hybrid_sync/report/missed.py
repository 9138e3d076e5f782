"""Failed records of a run's entities, from the quarantine: counted by cause, and the oldest by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.postgres import Question
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.report.analysis import CauseDetail, MissedCause
from hybrid_sync.report.tolerance import in_words, is_beyond, tolerance_of
from hybrid_sync.session import Trip, dicts

SHOWN_KEYS = 5
"""Legacy keys named for each cause of an entity."""

LISTED_OF_A_CAUSE = 25
LISTED = 300
"""Failed records listed by key; all of them are found with `hybrid-sync failures`."""


# Of a target that lacks the column, which came with a later migration, a report can be made, too; it costs more.
ROWS = sql.SQL("coalesce((to_jsonb(f)->>'rows')::bigint, 1)")


def by_cause(rows: sql.SQL) -> sql.Composed:
    """The numbers of pages and reports alike, over `hybrid_sync.failed_record f` by entity and reason.

    `rows`: for how many a record stands.
    """
    return sql.SQL("""
      f.entity, f.reason, count(*) as records,
      count(*) filter (where not f.present) as absent,
      count(*) filter (where f.status = 'escalated') as escalated,
      count(*) filter (where f.status = 'accepted') as accepted,
      coalesce(sum({rows}) filter (where f.status <> 'accepted'), 0)::bigint as open_rows,
      min(f.first_seen) as oldest
    """).format(rows=rows)


def missed_causes(
    trip: Trip, run_id: str, catalog: Catalog
) -> Callable[[Mapping[str, Conservation]], tuple[MissedCause, ...]]:
    """To be called after the trip, with where the rows of each entity are: one line per entity and reason, most
    records first.

    Where a run names single rows, theirs only.
    """
    found = trip.ask(dicts(_CAUSES, {"run": run_id, "shown": SHOWN_KEYS}))
    parts = trip.ask(dicts(_DETAILS, {"run": run_id}))

    def causes_of(conserved: Mapping[str, Conservation]) -> tuple[MissedCause, ...]:
        details: dict[tuple[str, str], list[CauseDetail]] = {}
        for row in parts.value:
            details.setdefault((row.pop("entity"), row.pop("reason")), []).append(CauseDetail(**row))
        return tuple(
            _cause(row, catalog, conserved, details.get((row["entity"], row["reason"]), [])) for row in found.value
        )

    return causes_of


def missed_records(run_id: str) -> Question[list[dict[str, Any]]]:
    """The oldest records of each cause, so that a frequent cause does not hide the others."""
    return dicts(_RECORDS, {"run": run_id, "of_a_cause": LISTED_OF_A_CAUSE, "limit": LISTED})


def _cause(
    row: dict[str, Any], catalog: Catalog, conserved: Mapping[str, Conservation], details: list[CauseDetail]
) -> MissedCause:
    entity = catalog.entities.get(row["entity"])
    reason = reason_of(row["reason"])
    where = conserved.get(row["entity"])
    tolerance = tolerance_of(entity, row["reason"])
    return MissedCause(
        **{**row, "keys": tuple(row["keys"])},
        title=entity.title if entity else row["entity"],
        share=row["open_rows"] / where.legacy if where and where.legacy else None,
        tolerated=in_words(tolerance),
        why=tolerance.why if tolerance else "",
        beyond=is_beyond(tolerance, row["open_rows"], where),
        meaning=reason.meaning,
        remedy=reason.remedy,
        retryable=reason.retryable,
        details=tuple(details),
    )


# Of a run that names single rows, the failed records of these rows only.
_ASKED = sql.SQL("""
  and (e.requested is null or exists (
    select from jsonb_array_elements(e.requested->f.source) k where k.value = to_jsonb(f.key)))
""")

_CAUSES = sql.SQL("""
select {by_cause},
       count(*) filter (where f.first_run = %(run)s) as new,
       sum({each})::bigint as rows,
       sum(f.attempts)::bigint as retries,
       (array_agg(f.source || ':' || array_to_string(f.key, ',') order by f.source, f.key))[:%(shown)s]
         as keys
from hybrid_sync.failed_record f
join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
where f.status <> 'resolved' {asked}
group by f.entity, f.reason
order by records desc, f.entity, f.reason
""").format(by_cause=by_cause(ROWS), each=ROWS, asked=_ASKED)

_DETAILS = sql.SQL("""
select f.entity, f.reason, f.source, f.column_name as "column", f.constraint_name as "constraint", f.sqlstate,
       f.waits_for->>'entity' as parent, count(*) as records
from hybrid_sync.failed_record f
join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
where f.status <> 'resolved' {asked}
group by f.entity, f.reason, f.source, f.column_name, f.constraint_name, f.sqlstate, f.waits_for->>'entity'
order by records desc, f.source, f.column_name, f.constraint_name, f.sqlstate, parent
""").format(asked=_ASKED)

# A key is one integer or, in waits_for, possibly an array of them.
_RECORDS = sql.SQL("""
select entity, source, array_to_string(key, ',') as key, reason, column_name as "column", status, present, attempts,
       first_run, first_seen,
       (waits_for->>'entity') || coalesce('/' || (waits_for->>'source'), '') || ':'
         || translate(waits_for->>'key', '[] ', '') as waits_for
from (
  select f.*, row_number() over (partition by f.entity, f.reason order by f.first_seen, f.source, f.key) as place
  from hybrid_sync.failed_record f
  join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
  where f.status <> 'resolved' {asked}
) oldest
where place <= %(of_a_cause)s
order by first_seen, entity, source, key
limit %(limit)s
""").format(asked=_ASKED)
