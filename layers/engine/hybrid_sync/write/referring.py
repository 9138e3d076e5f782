"""What refers to rows that are about to be deleted: such a row stays, whatever the foreign key would do about it.

A native child would fall to ON DELETE CASCADE, or lose its reference to SET NULL, without a word; a child of ours
that is still there is still in legacy, or was kept itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection
from hybrid_sync.schema.target_structure import has_columns


@dataclass(frozen=True)
class Child:
    """A column of a mapped table that the catalog lets refer to the entity."""

    target: str
    column: str
    keys: tuple[str, ...]
    """The legacy key columns of the child: empty in a native row."""


@dataclass(frozen=True)
class Doomed:
    """Rows of a stage that are about to be deleted."""

    stage: sql.Identifier
    """Its lines have `id` and `constraint_name`."""
    pending: sql.Composable
    """The condition that a line's row is still about to be deleted."""
    kept: sql.Composable
    """The assignment that keeps it; `r.native` says whether a row that we do not manage refers to it."""

    @property
    def ids(self) -> sql.Composed:
        return sql.SQL("select id from {} where {}").format(self.stage, self.pending)


def keep_referred(connection: Connection, catalog: Catalog, entity: Entity, doomed: Doomed) -> None:
    """Keep the rows that something refers to, and then those that the kept refer to.

    The caller holds the rows locked, so that nobody can begin to refer to them.
    """
    children = sorted(
        {child for child in _children(catalog, entity.entity) if has_columns(connection, child.target, [child.column])},
        key=lambda c: (c.target, c.column, c.keys),
    )
    kept = 1
    while kept:
        kept = _by_constraint(connection, catalog, entity, doomed)
        for child in children:
            kept += _by_catalog(connection, entity, doomed, child)


def _children(catalog: Catalog, name: str) -> Iterator[Child]:
    for child in catalog.entities.values():
        for source in child.sources.values():
            for column, reference in source.references.items():
                if any(parent.to == name for parent in reference.parents):
                    yield Child(child.target, column, tuple(source.key))


def _by_constraint(connection: Connection, catalog: Catalog, entity: Entity, doomed: Doomed) -> int:
    keys: dict[str, list[list[str]]] = {}
    for mapped in catalog.entities.values():
        place = keys.setdefault(table(mapped.target).as_string(connection), [])
        place += [columns for source in mapped.sources.values() if (columns := list(source.key)) not in place]
    return connection.execute(
        sql.SQL(
            "update {} u set {}, constraint_name = r.by_constraint"
            " from (select distinct on (id) * from hybrid_sync.referring({}::regclass, array({}), {}::jsonb)"
            "  order by id, native desc, by_constraint) r where r.id = u.id and {}"
        ).format(
            doomed.stage, doomed.kept, table(entity.target).as_string(connection), doomed.ids, json.dumps(keys),
            doomed.pending,
        )
    ).rowcount  # fmt: skip


def _by_catalog(connection: Connection, entity: Entity, doomed: Doomed, child: Child) -> int:
    """References of the catalog count even where the target declares no foreign key."""
    # Without its key columns nothing distinguishes a row of ours from a native one.
    known = has_columns(connection, child.target, child.keys)
    native = sql.SQL(" or ").join(
        [sql.SQL("c.{} is null").format(sql.Identifier(key)) for key in child.keys if known]
        or [sql.SQL("true").format()]
    )
    goes_too = sql.SQL("c.id in ({})").format(doomed.ids)
    itself = goes_too if table(child.target) == table(entity.target) else sql.SQL("false")
    return connection.execute(
        sql.SQL(
            "update {stage} u set {kept} from (select c.{column} as id, bool_or({native}) as native from {child} c"
            "  where c.{column} = any(array({ids})) and not ({itself}) group by 1) r where r.id = u.id and {pending}"
        ).format(
            stage=doomed.stage, kept=doomed.kept, ids=doomed.ids, pending=doomed.pending, native=native,
            column=sql.Identifier(child.column), child=table(child.target), itself=itself,
        )
    ).rowcount  # fmt: skip
