"""Earlier runs that can be compared with a run: the same profile, over the same part of the catalog."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from pydantic import computed_field

from hybrid_sync.report.part import Part

COMPARED = 8
"""Earlier runs in a report: two months of weekly ones."""


class PastRun(Part):
    """An earlier run in numbers; what was true at its end."""

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    read: int
    written: int
    failed: int
    due: int | None
    """Legacy rows that no rule excludes; None when nothing was verified."""
    migrated: int | None
    conserved: bool | None
    missed: dict[str, int] | None
    """Missed records per reason; None where the run kept no report."""

    @computed_field
    @property
    def missed_records(self) -> int | None:
        return None if self.missed is None else sum(self.missed.values())

    @computed_field
    @property
    def success_rate(self) -> float | None:
        if self.due is None or self.migrated is None:
            return None
        return self.migrated / self.due if self.due else 1.0


def past_runs(cursor: psycopg.Cursor[dict[str, Any]], run_id: str) -> tuple[PastRun, ...]:
    """The last runs before this one that have ended, oldest first."""
    found = cursor.execute(_PAST, {"run": run_id, "limit": COMPARED}).fetchall()
    return tuple(PastRun(**row) for row in reversed(found))


_PAST = """
select r.run_id, r.status, r.started_at,
       round(extract(epoch from coalesce(r.finished_at, r.started_at) - r.started_at), 3)::float8 as seconds,
       coalesce(b.read, 0) as read, coalesce(b.written, 0) as written, coalesce(b.failed, 0) as failed,
       e.due, e.migrated, e.conserved, m.missed
from hybrid_sync.run this
join hybrid_sync.run r on r.profile = this.profile and r.started_at < this.started_at and r.status <> 'running'
  and (r.trigger = 'retry') = (this.trigger = 'retry')
  and r.request->'entities' is not distinct from this.request->'entities'
  and r.request->'refs' is not distinct from this.request->'refs'
left join lateral (
  select sum((result->>'read')::bigint)::bigint as read,
         sum((result->>'inserted')::bigint + (result->>'updated')::bigint)::bigint as written,
         sum((result->>'failed')::bigint)::bigint as failed
  from hybrid_sync.batch_done d where d.run_id = r.run_id
) b on true
left join lateral (
  select sum((d.conservation->>'legacy')::bigint - (d.conservation->>'excluded')::bigint)::bigint as due,
         sum(coalesce((d.conservation->>'current')::bigint,
                      (d.conservation->>'migrated')::bigint - (d.conservation->>'failed_present')::bigint)
         )::bigint as migrated,
         bool_and(coalesce((d.conservation->>'ok')::bool and not exists (
           select from jsonb_array_elements(coalesce(d.money, '[]')) line where not (line->>'equal')::bool
         ) and not exists (
           select from jsonb_array_elements(
             case when jsonb_typeof(to_jsonb(d)->'reference_counts') = 'array' then to_jsonb(d)->'reference_counts'
                  else '[]' end
           ) line where not (line->>'ok')::bool
         ), false)) as conserved
  from hybrid_sync.run_entity d where d.run_id = r.run_id
) e on true
left join lateral (
  select coalesce(jsonb_object_agg(reason, records), '{}') as missed
  from (select line->>'reason' as reason, sum((line->>'records')::bigint) as records
        from jsonb_array_elements(
          case when jsonb_typeof(r.report->'missed') = 'array' then r.report->'missed' else '[]' end
        ) line group by 1) by_reason
) m on jsonb_typeof(r.report->'missed') = 'array'
where this.run_id = %(run)s
order by r.started_at desc
limit %(limit)s
"""
