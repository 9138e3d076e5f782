"""Failed records of a run's entities, from the quarantine: counted by cause, and the oldest by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.failures.reasons import reason_of
from hybrid_sync.report.analysis import CauseDetail, MissedCause, MissedRecord

Cursor = psycopg.Cursor[dict[str, Any]]

SHOWN_KEYS = 5
"""Legacy keys named for each cause of an entity."""

LISTED_OF_A_CAUSE = 25
LISTED = 300
"""Failed records listed by key; all of them are found with `hybrid-sync failures`."""


def missed_causes(cursor: Cursor, run_id: str, catalog: Catalog, rows_of: Mapping[str, int]) -> tuple[MissedCause, ...]:
    """One line per entity and reason, most records first; `rows_of` are the legacy rows of each entity."""
    found = cursor.execute(_CAUSES, {"run": run_id, "shown": SHOWN_KEYS}).fetchall()
    details: dict[tuple[str, str], list[CauseDetail]] = {}
    for row in cursor.execute(_DETAILS, {"run": run_id}):
        details.setdefault((row.pop("entity"), row.pop("reason")), []).append(CauseDetail(**row))
    return tuple(_cause(row, catalog, rows_of, details.get((row["entity"], row["reason"]), [])) for row in found)


def missed_records(cursor: Cursor, run_id: str) -> tuple[MissedRecord, ...]:
    """The oldest records of each cause, so that a frequent cause does not hide the others."""
    limits = {"run": run_id, "of_a_cause": LISTED_OF_A_CAUSE, "limit": LISTED}
    return tuple(MissedRecord(**row) for row in cursor.execute(_RECORDS, limits))


def _cause(
    row: dict[str, Any], catalog: Catalog, rows_of: Mapping[str, int], details: list[CauseDetail]
) -> MissedCause:
    entity = catalog.entities.get(row["entity"])
    reason = reason_of(row["reason"])
    total = rows_of.get(row["entity"])
    return MissedCause(
        **{**row, "keys": tuple(row["keys"])},
        title=entity.title if entity else row["entity"],
        share=row["records"] / total if total else None,
        meaning=reason.meaning,
        remedy=reason.remedy,
        retryable=reason.retryable,
        details=tuple(details),
    )


_CAUSES = """
select f.entity, f.reason, count(*) as records,
       count(*) filter (where not f.present) as absent,
       count(*) filter (where f.first_run = %(run)s) as new,
       count(*) filter (where f.status = 'escalated') as escalated,
       count(*) filter (where f.status = 'ignored') as ignored,
       sum(f.attempts)::bigint as retries,
       min(f.first_seen) as oldest,
       (array_agg(f.source || ':' || array_to_string(f.key, ',') order by f.source, f.key))[:%(shown)s]
         as keys
from hybrid_sync.failed_record f
join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
where f.status <> 'resolved'
group by f.entity, f.reason
order by records desc, f.entity, f.reason
"""

_DETAILS = """
select f.entity, f.reason, f.source, f.column_name as "column", f.constraint_name as "constraint", f.sqlstate,
       f.waits_for->>'entity' as parent, count(*) as records
from hybrid_sync.failed_record f
join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
where f.status <> 'resolved'
group by f.entity, f.reason, f.source, f.column_name, f.constraint_name, f.sqlstate, f.waits_for->>'entity'
order by records desc, f.source, f.column_name, f.constraint_name, f.sqlstate, parent
"""

# A key is one integer or, in waits_for, possibly an array of them.
_RECORDS = """
select entity, source, array_to_string(key, ',') as key, reason, column_name as "column", status, present, attempts,
       first_run, first_seen,
       (waits_for->>'entity') || coalesce('/' || (waits_for->>'source'), '') || ':'
         || translate(waits_for->>'key', '[] ', '') as waits_for
from (
  select f.*, row_number() over (partition by f.entity, f.reason order by f.first_seen, f.source, f.key) as place
  from hybrid_sync.failed_record f
  join hybrid_sync.run_entity e on e.entity = f.entity and e.run_id = %(run)s
  where f.status <> 'resolved'
) oldest
where place <= %(of_a_cause)s
order by first_seen, entity, source, key
limit %(limit)s
"""
