"""Rows of legacy that share a natural key: which of them is meant cannot be known."""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Key
from hybrid_sync.keys import key_parts, one_of
from hybrid_sync.postgres import Connection


def with_twins(
    connection: Connection, entity: Entity, plans: dict[str, ReadPlan], source: str, keys: Collection[Key]
) -> set[Key]:
    """Those of `keys` whose natural key another row of the entity has too, in any source; excluded rows don't count.

    The comparison stays in legacy, so that no value travels; it reads the sources' tables once.
    """
    if not keys or entity.adopt is None:
        return set()
    plan = plans[source]
    names = [sql.Identifier(f"k{i}") for i in range(len(plan.key_exprs))]
    own = sql.SQL(", ").join(
        sql.SQL("{} as {}").format(e, name) for e, name in zip(key_parts(plan.key_exprs), names, strict=True)
    )
    mine = sql.SQL("select {}, {} from {} where {}").format(
        own, _natural(entity, source), plan.relations, one_of(plan.key_exprs, keys)
    )
    everyone = sql.SQL(" union all ").join(
        sql.SQL("select {} from {} where not {}").format(_natural(entity, name), p.relations, p.excluded_sql)
        for name, p in plans.items()
    )
    query = sql.SQL(
        "select {k} from ({mine}) m join ({everyone}) e using ({by}) group by {k} having count(*) > 1"
    ).format(
        k=sql.SQL(", ").join(names), mine=mine, everyone=everyone,
        by=sql.SQL(", ").join(sql.Identifier(f"b{i}") for i in range(len(entity.adopt.by))),
    )  # fmt: skip
    return {tuple(row) for row in connection.execute(query).fetchall()}


def _natural(entity: Entity, source: str) -> sql.Composed:
    assert entity.adopt is not None, "asked only of an entity that adopts"
    columns = entity.sources[source].columns
    return sql.SQL(", ").join(
        sql.SQL("{}::text as {}").format(columns[c].value, sql.Identifier(f"b{i}"))
        for i, c in enumerate(entity.adopt.by)
    )
