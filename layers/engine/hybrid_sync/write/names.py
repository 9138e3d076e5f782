"""Names that a server's error mentions, as far as they are names: a trigger can put any text in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.halve import Refusal
from hybrid_sync.postgres import Connection

T = TypeVar("T")

_KNOWN = """
with named (name, relation, numbers) as (
  select conname::text, conrelid, conkey from pg_constraint where conname::text = any(%(names)s)
  union all
  select c.relname::text, i.indrelid, (i.indkey::int2[])[:i.indnkeyatts - 1]  -- a vector, which begins at 0
  from pg_class c left join pg_index i on i.indexrelid = c.oid
  where c.relkind in ('i', 'I') and c.relname::text = any(%(names)s)
)
select n.name, max((
  select string_agg(a.attname::text, ', ' order by k.n) from unnest(n.numbers) with ordinality as k (number, n)
  join pg_attribute a on a.attrelid = n.relation and a.attnum = k.number
)) filter (where n.relation = %(table)s and 0 <> all(n.numbers))
from named n group by n.name
"""


def _columns_of(connection: Connection, names: Iterable[str | None], table: int) -> dict[str, str | None]:
    """Those that the server's own catalogs know as a constraint or an index, with the columns of the table that it is
    about; None where that is an expression, or another table's."""
    asked = sorted({name for name in names if name})
    if not asked:
        return {}
    return dict(connection.execute(_KNOWN, {"names": asked, "table": table}).fetchall())


def named(
    connection: Connection, refusals: Sequence[Refusal[T]], table: TargetTable | None = None
) -> list[Refusal[T]]:  # fmt: skip
    """The refusals without names that nothing has: constraints that the server does not know, and other columns.

    Of a constraint the server names no column, so those that it is about are told; with their names alone.
    """
    known = _columns_of(connection, (r.constraint for r in refusals), table.oid if table else 0)
    columns = table.columns if table else ()
    return [
        r._replace(
            constraint=r.constraint if r.constraint in known else None,
            column=r.column if r.column in columns else known.get(r.constraint or ""),
        )
        for r in refusals
    ]
