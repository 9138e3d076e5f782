"""Rows that a run's transactions changed beside those that it wrote: a trigger of the target may write any row.

Such a row bears a transaction id of ours, and the journal does not know that it was written with it.  Whoever wrote it
has looked at his own rows only, no fence of legacy shows it, and the triggers of one entity may write another one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.compare.canonical import canonical
from hybrid_sync.compare.checksums import Sides
from hybrid_sync.compare.parts import ALL
from hybrid_sync.compare.recheck import Difference, recheck
from hybrid_sync.contracts import Key
from hybrid_sync.keys import belongs_to, key_columns, key_parts, make_room
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.plans import EntityPlan

_AT_ONCE = 1_000


def written_beside(target: Connection, entity: Entity, xids: Sequence[str]) -> dict[str, list[Key]]:
    """By source: keys of the entity's rows that these transactions wrote and nobody has journalled, or that they wrote
    where a trigger wrote more than they did."""
    make_room(target)
    found = {
        name: [tuple(key) for (key,) in target.execute(_unjournalled(entity, name, xids)).fetchall()]
        for name in entity.sources
    }
    return {name: keys for name, keys in found.items() if keys}


def _unjournalled(entity: Entity, source: str, xids: Sequence[str]) -> sql.Composed:
    keys = key_parts(key_columns(entity.sources[source].key))
    many = len(keys) > 1  # an age stands for its transaction: ids themselves have no order, which NOT IN asks for
    parts: list[sql.Composable] = [
        sql.SQL("min(value) filter (where (n - 1) % {} = {})").format(len(keys), i) for i in range(len(keys))
    ]
    written = sql.SQL(
        "select {}, age(j.xid) from hybrid_sync.journal j cross join unnest(j.keys) with ordinality as k (value, n)"
        " where j.entity = {} and j.source = {} and j.xid = any({}::xid[])"
        " and j.batch_id not in (select batch_id from hybrid_sync.written_beside){}"
    ).format(
        sql.SQL(", ").join(parts if many else [sql.SQL("value")]), entity.entity, source, list(xids),
        sql.SQL(" group by j.tableoid, j.ctid, j.xid, (n - 1) / {}").format(len(keys)) if many else sql.SQL(""),
    )  # fmt: skip
    return sql.SQL(
        "select array[{}] from {} where {} and xmin = any({}::xid[]) and ({}, age(xmin)) not in ({})"
    ).format(
        sql.SQL(", ").join(keys), table(entity.target), belongs_to(entity.sources[source]), list(xids),
        sql.SQL(", ").join(keys), written,
    )  # fmt: skip


def changed_beside(
    catalog: Catalog, plan: EntityPlan, entity: Entity, suspects: Mapping[str, Iterable[Key]],
    after_fence: Mapping[str, sql.Composable], legacy: Connection, target: Connection,
) -> dict[str, list[Difference]]:  # fmt: skip
    """By source: those of the rows that differ from legacy; both connections hold snapshots."""
    found: dict[str, list[Difference]] = {}
    for name, keys in suspects.items():
        read = plan.sources[name]
        sides = Sides(
            read, entity.sources[name], table(entity.target), canonical(catalog, read), after_fence[name], ALL, legacy,
            target,
        )  # fmt: skip
        ordered = sorted(keys)
        for at in range(0, len(ordered), _AT_ONCE):
            for one in recheck(sides, ordered[at : at + _AT_ONCE], sql.SQL("false")):
                if isinstance(one, Difference) and one.kind == "changed":
                    found.setdefault(name, []).append(one)
    return found
