"""How many records wait for what, by entity and cause: the one source of the numbers of pages and reports."""

from __future__ import annotations

from psycopg import sql

# Of a target that lacks the column, which came with a later migration, a report can be made, too; it costs more.
ROWS = sql.SQL("coalesce((to_jsonb(f)->>'rows')::bigint, 1)")


def by_cause(rows: sql.SQL) -> sql.Composed:
    """Columns over `hybrid_sync.failed_record f`, grouped by entity and reason; `rows`: for how many one stands."""
    return sql.SQL("""
      f.entity, f.reason, count(*) as records,
      count(*) filter (where not f.present) as absent,
      count(*) filter (where f.status = 'escalated') as escalated,
      count(*) filter (where f.status = 'accepted') as accepted,
      coalesce(sum({rows}) filter (where f.status <> 'accepted'), 0)::bigint as open_rows,
      min(f.first_seen) as oldest
    """).format(rows=rows)
