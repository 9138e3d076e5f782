"""Columns that have got other names since a run: before-images name them as they were called then.

The run has recorded the numbers of its table's columns, which stay the same whatever a column is called.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import quoted
from hybrid_sync.postgres import Connection

Renamed = Mapping[str, str | None]
"""Of then: of now; None is a column that was dropped, whatever is called so today."""

_RENAMED = """
select c.name, a.attname::text
from hybrid_sync.run_entity e cross join jsonb_each_text(e.columns -> 'numbers') as c (name, number)
left join pg_attribute a on a.attrelid = (e.columns ->> 'relation')::oid and a.attnum = c.number::int2
  and not a.attisdropped
where e.run_id = %s and e.entity = %s and (e.columns ->> 'relation')::oid = to_regclass(%s)
  and a.attname is distinct from c.name
"""


def renamed_since(connection: Connection, run_id: str, entity: Entity) -> Renamed:
    """Empty where all are called as then, where the table is another one by now, and for runs that recorded nothing."""
    rows = connection.execute(_RENAMED, (run_id, entity.entity, quoted(entity.target))).fetchall()
    return dict(rows)


def named_now(columns: list[str], renamed: Renamed) -> tuple[str, ...]:
    """The columns under their names of now, without those that are gone."""
    return tuple(sorted(now for then in columns if (now := renamed.get(then, then)) is not None))


def image_now(before: sql.Composable, renamed: Renamed) -> sql.Composable:
    """The before-image, its columns called as they are now; a null image stays null."""
    if not renamed:
        return before
    return sql.SQL(
        "case when {before} is not null then ("
        "select coalesce(jsonb_object_agg(coalesce(n.now, i.key), i.value), '{{}}') from jsonb_each({before}) i"
        " left join unnest({then}::text[], {now}::text[]) as n (past, now)"
        " on n.past = i.key where n.past is null or n.now is not null) end"
    ).format(before=before, then=sql.Literal(list(renamed)), now=sql.Literal(list(renamed.values())))
