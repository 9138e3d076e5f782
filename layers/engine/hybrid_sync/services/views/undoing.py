"""What a rollback would do, before it is done: rows that go back, rows that go, and those that it would leave alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Message
from hybrid_sync.keys import is_row_of
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.runs.called import NamesNow, names_now
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.session import dicts
from hybrid_sync.write.journal import CHANGES


class UndoneRows(Message):
    """Of one entity, in rows; `conflicts` have been changed or removed since, and stay as they are."""

    entity: str
    title: str
    back: int
    """As they were before the run."""
    deleted: int
    """Brought by the run."""
    conflicts: int


class Undoing(Message):
    """`entities` will be held until a person releases them."""

    run_id: str
    entities: tuple[UndoneRows, ...]

    @property
    def conflicts(self) -> int:
        return sum(one.conflicts for one in self.entities)


def undoing(desk: Desk, run_id: str) -> Undoing:
    """By the versions of the rows as they are now; nothing is locked, so it may be otherwise in a moment."""
    with at_target(desk) as target:
        written = answer(target, dicts(_WRITTEN, {"run": run_id}))
        now = names_now(target, desk.catalog, run_id, [(row["entity"], row["source"]) for row in written])
        names = dict.fromkeys(name for name, _ in now.values() if name in desk.catalog.entities)
        found = tuple(_of(target, desk.catalog, run_id, name, written, now) for name in names)
    return Undoing(run_id=run_id, entities=found)


def _of(
    target: Connection, catalog: Catalog, run_id: str, name: str, written: list[dict[str, Any]], now: NamesNow
) -> UndoneRows:  # fmt: skip
    entity = catalog[name]
    relation = table(entity.target)
    places = [place for place, (called, source) in now.items() if called == name and source in entity.sources]
    given: dict[str, Any] = {
        "run": run_id, "entities": [place[0] for place in places], "sources": [place[1] for place in places],
    }  # fmt: skip
    conflicts = _count(target, _CHANGED_SINCE.format(table=relation, changes=CHANGES), given)
    changed = brought = 0
    for row in written:
        place = (row["entity"], row["source"])
        if place not in places:
            continue
        source = entity.sources[now[place][1]]
        changed += int(row["changed"])
        brought += int(row["parts"]) // len(source.key)
        if row["parts"]:
            query = _BROUGHT_SINCE.format(table=relation, own=is_row_of(source, sql.SQL("k.key")), changes=CHANGES)
            conflicts += _count(
                target, query, {**given, "entity": place[0], "source": place[1], "width": len(source.key)}
            )
    return UndoneRows(entity=name, title=entity.title, back=changed, deleted=brought, conflicts=conflicts)


def _count(target: Connection, query: sql.Composed, given: Mapping[str, Any]) -> int:
    row = target.execute(query, given).fetchone()
    return int(row[0]) if row else 0


_WRITTEN = sql.SQL("""
select entity, source, count(distinct id) filter (where operation <> 'insert') as changed,
       coalesce(sum(cardinality(keys)) filter (where operation = 'insert'), 0) as parts
from {} j where run_id = %(run)s group by entity, source order by entity, source
""").format(CHANGES)
# The last version of each row that the run changed, beside the row as it is.
_CHANGED_SINCE = sql.SQL("""
select count(*) from (
  select distinct on (j.id) j.id, (j.xid::text)::bigint as xid, j.operation from {changes} j
  join unnest(%(entities)s::text[], %(sources)s::text[]) as p (entity, source)
    on p.entity = j.entity and p.source = j.source
  where j.run_id = %(run)s and j.operation <> 'insert' and j.id is not null
  order by j.id, j.seq desc) m
left join {table} t on t.id = m.id
where (t.id is null and m.operation <> 'delete') or (t.id is not null and t.xmin::text::bigint <> m.xid)
""")
_BROUGHT_SINCE = sql.SQL("""
select count(*)
from (select (j.xid::text)::bigint as xid, j.keys[(i - 1) * %(width)s + 1 : i * %(width)s] as key
      from hybrid_sync.journal j, generate_series(1, cardinality(j.keys) / %(width)s) i
      where j.run_id = %(run)s and j.entity = %(entity)s and j.source = %(source)s and j.operation = 'insert') k
join {table} t on {own}
where t.xmin::text::bigint <> k.xid and not exists (
  select from {changes} j where j.run_id = %(run)s and j.entity = %(entity)s and j.id = t.id)
""")
