"""The recent runs in a line each; whether one adds up is decided as in its own report."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from hybrid_sync.report.scope import named
from hybrid_sync.report.totals import ENTITIES, totals
from hybrid_sync.runs.ended import STATUS


def recent_runs(target: psycopg.Connection[Any], limit: int, *, retries: bool) -> list[dict[str, Any]]:
    """Newest first; `retries` are the small runs of the failure queue."""
    with target.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_RECENT, {"limit": limit, "retries": retries}).fetchall()
    for row in found:
        run_totals = totals(row["status"], row["profile"], row.pop("entities"))
        row["adds_up"] = str(run_totals.adds_up)
        row["part"] = named(row.pop("request"))
        for name in ("current", "due", "stale", "absent"):
            row[name] = getattr(run_totals.rows, name) if run_totals.rows else None
    return found


def count_runs(target: psycopg.Connection[Any], *, retries: bool) -> int:
    """How many runs the target has a record of, with or without those that retry failed records."""
    row = target.execute("select count(*) from hybrid_sync.run where %s or trigger <> 'retry'", (retries,)).fetchone()
    return int(row[0]) if row else 0


_RECENT = sql.SQL("""
select r.run_id, r.request, r.profile, r.trigger, {} as status, r.started_at, r.finished_at,
       extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8 as seconds,
       coalesce(b.read, 0) as read, coalesce(b.inserted, 0) as inserted, coalesce(b.updated, 0) as updated,
       coalesce(b.failed, 0) as failed, {} as entities
from hybrid_sync.run r
left join lateral (
  select sum((result->>'read')::bigint)::bigint as read,
         sum((result->>'inserted')::bigint)::bigint as inserted,
         sum((result->>'updated')::bigint)::bigint as updated,
         sum((result->>'failed')::bigint)::bigint as failed
  from hybrid_sync.batch_done d where d.run_id = r.run_id
) b on true
where %(retries)s or r.trigger <> 'retry'
order by r.started_at desc
limit %(limit)s
""").format(STATUS, ENTITIES)
