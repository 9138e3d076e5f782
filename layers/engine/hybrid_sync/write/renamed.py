"""Columns that have got other names since a run: before-images and marks name them as they were called then.

The run has recorded the numbers of its table's columns, which stay the same whatever a column is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg import sql

from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.postgres import Connection

Renamed = Mapping[str, str | None]
"""Of then: of now; None is a column that was dropped, whatever is called so today."""

_RENAMED = """
select coalesce((
  select jsonb_object_agg(c.name, a.attname) from jsonb_each_text(e.columns -> 'numbers') as c (name, number)
  left join pg_attribute a on a.attrelid = (e.columns ->> 'relation')::oid and a.attnum = c.number::int2
    and not a.attisdropped
  where a.attname is distinct from c.name), '{{}}')
from hybrid_sync.run_entity e
where e.run_id = {} and (e.columns ->> 'relation')::oid = to_regclass({}) order by e.entity = {} desc limit 1
"""


def renamed_since(connection: Connection, run_id: str, entity: str, relation: sql.Identifier) -> Renamed | None:
    """Empty where all are called as then; None where nobody knows: the run recorded nothing, or the table is another
    one by now.  The entity may have had another name then."""
    query = sql.SQL(_RENAMED).format(run_id, relation.as_string(None), entity)
    row = connection.execute(query).fetchone()
    return None if row is None else dict(row[0])


def missing(columns: Iterable[str], table: TargetTable) -> str | None:
    """The first of these names that no column has: where nobody knows of renaming, it may have another one now."""
    return min((column for column in columns if column not in table.columns), default=None)


def named_now(columns: Iterable[str], renamed: Renamed) -> tuple[str, ...]:
    """The columns under their names of now, without those that are gone."""
    return tuple(sorted(now for then in columns if (now := renamed.get(then, then)) is not None))


def image_now(image: sql.Composable, renamed: Renamed) -> sql.Composable:
    """The image, its columns called as they are now; a null image stays null."""
    if not renamed:
        return image
    return sql.SQL(
        "case when {image} is not null then ("
        "select coalesce(jsonb_object_agg(coalesce(n.now, i.key), i.value), '{{}}') from jsonb_each({image}) i"
        " left join unnest({then}::text[], {now}::text[]) as n (past, now)"
        " on n.past = i.key where n.past is null or n.now is not null) end"
    ).format(image=image, then=sql.Literal(list(renamed)), now=sql.Literal(list(renamed.values())))
