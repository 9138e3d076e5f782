"""Earlier runs that can be compared with a run: the same profile, over the same part of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from hybrid_sync.postgres import Question
from hybrid_sync.report.model import PastRun
from hybrid_sync.report.totals import ENTITIES, totals
from hybrid_sync.runs.ended import STATUS
from hybrid_sync.session import dicts

COMPARED = 8
"""Earlier runs in a report: two months of weekly ones."""


def ask_past(run_id: str) -> Question[list[dict[str, Any]]]:
    """The last runs before this one that have ended, newest first."""
    return dicts(_PAST, {"run": run_id, "limit": COMPARED})


def past_runs(found: Sequence[dict[str, Any]]) -> tuple[PastRun, ...]:
    """The runs that `ask_past` found, oldest first, with their results."""
    return tuple(_past(**row) for row in reversed(found))


def _past(*, status: str, profile: str, entities: Sequence[dict[str, Any]], **row: Any) -> PastRun:
    came_to = totals(status, profile, entities)
    due, current = (came_to.rows.due, came_to.rows.current) if came_to.rows else (None, None)
    return PastRun(status=status, adds_up=came_to.adds_up, due=due, current=current, **row)


_PAST = sql.SQL("""
select r.run_id, r.profile, {} as status, r.started_at,
       round(extract(epoch from coalesce(r.finished_at, r.started_at) - r.started_at)::numeric, 3)::float8 as seconds,
       coalesce(b.read, 0) as read, coalesce(b.written, 0) as written, coalesce(b.failed, 0) as failed, m.missed,
       {} as entities
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
  select coalesce(jsonb_object_agg(reason, records), '{{}}') as missed
  from (select line->>'reason' as reason, sum((line->>'records')::bigint) as records
        from jsonb_array_elements(
          case when jsonb_typeof(r.report->'missed') = 'array' then r.report->'missed' else '[]' end
        ) line group by 1) by_reason
) m on jsonb_typeof(r.report->'missed') = 'array'
where this.run_id = %(run)s
order by r.started_at desc
limit %(limit)s
""").format(STATUS, ENTITIES)
