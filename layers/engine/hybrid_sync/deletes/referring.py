"""What refers to rows that are about to be deleted: such a row stays, whatever the foreign key would do about it.

A native child would fall to ON DELETE CASCADE, or lose its reference to SET NULL, without a word; a child of ours
that is still there is still in legacy, or was kept itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.target_structure import has_columns

NATIVE, MANAGED = "native_children", "still_referred"


@dataclass(frozen=True)
class Child:
    """A column of a mapped table that the catalog lets refer to the entity."""

    target: str
    column: str
    keys: tuple[str, ...]
    """The legacy key columns of the child: empty in a native row."""


def keep_referred(connection: Connection, catalog: Catalog, entity: Entity, removal: sql.Identifier) -> None:
    """Give the rows of `removal` that something refers to the outcome `kept`, and then those that the kept refer to.

    The caller holds the rows locked, so that nobody can begin to refer to them.
    """
    children = sorted(
        {
            child
            for child in _children(catalog, entity.entity)
            if has_columns(connection, child.target, [child.column, *child.keys])
        },
        key=lambda c: (c.target, c.column, c.keys),
    )
    kept = 1
    while kept:
        kept = _by_constraint(connection, catalog, entity, removal)
        for child in children:
            kept += _by_catalog(connection, entity, removal, child)


def _children(catalog: Catalog, name: str) -> Iterator[Child]:
    for child in catalog.entities.values():
        for source in child.sources.values():
            for column, reference in source.references.items():
                if any(parent.to == name for parent in reference.parents):
                    yield Child(child.target, column, tuple(source.key))


def _by_constraint(connection: Connection, catalog: Catalog, entity: Entity, removal: sql.Identifier) -> int:
    keys: dict[str, list[list[str]]] = {}
    for mapped in catalog.entities.values():
        place = keys.setdefault(table(mapped.target).as_string(connection), [])
        place += [columns for source in mapped.sources.values() if (columns := list(source.key)) not in place]
    return connection.execute(
        sql.SQL(
            "update {removal} u set outcome = 'kept', constraint_name = r.by_constraint,"
            " reason = case when r.native then {native} else {managed} end"
            " from (select distinct on (id) * from hybrid_sync.referring({relation}::regclass,"
            "  array(select id from {removal} where outcome is null), {keys}::jsonb) order by id, native desc,"
            "  by_constraint) r where r.id = u.id and u.outcome is null"
        ).format(
            removal=removal, native=sql.Literal(NATIVE), managed=sql.Literal(MANAGED),
            keys=sql.Literal(json.dumps(keys)), relation=sql.Literal(table(entity.target).as_string(connection)),
        )
    ).rowcount  # fmt: skip


def _by_catalog(connection: Connection, entity: Entity, removal: sql.Identifier, child: Child) -> int:
    """References of the catalog count even where the target declares no foreign key."""
    native = sql.SQL(" or ").join(sql.SQL("c.{} is null").format(sql.Identifier(key)) for key in child.keys)
    among = sql.SQL("c.id in (select id from {} where outcome is null)").format(removal)
    itself = among if table(child.target) == table(entity.target) else sql.SQL("false")
    return connection.execute(
        sql.SQL(
            "update {removal} u set outcome = 'kept',"
            " reason = case when r.native then {unmanaged} else {managed} end"
            " from (select c.{column} as id, bool_or({native}) as native from {child} c"
            "  where c.{column} = any(array(select id from {removal} where outcome is null)) and not ({itself})"
            "  group by 1) r where r.id = u.id and u.outcome is null"
        ).format(
            removal=removal, unmanaged=sql.Literal(NATIVE), managed=sql.Literal(MANAGED), native=native,
            column=sql.Identifier(child.column), child=table(child.target), itself=itself,
        )
    ).rowcount  # fmt: skip
