"""Rows that refer to each other and go together: a deferred reference between them gives way first.

Whichever of the two were deleted first, the other one's reference would forbid it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import is_row_of, record_among
from hybrid_sync.postgres import Connection
from hybrid_sync.write.journal import Batch, entries
from hybrid_sync.write.native import AS_NATIVES, write


@dataclass(frozen=True)
class DeferredReference:
    """A deferred reference from one entity into another; the rows of both are deleted."""

    entity: str
    source: str
    column: str
    parent: str
    parent_source: str


def deferred_references(catalog: Catalog, entity: str, entities: Collection[str]) -> Iterator[DeferredReference]:
    """The entity's deferred references into other ones of these entities, where both policies are `hard`."""
    definition = catalog[entity]
    if definition.on_delete.policy != "hard":
        return
    for name, source in definition.sources.items():
        for column, reference in source.references.items():
            for parent in reference.parents if reference.deferred else ():
                there = parent.to != entity and parent.to in entities
                if there and catalog[parent.to].on_delete.policy == "hard":
                    yield DeferredReference(entity, name, column, parent.to, catalog.source_of(parent)[0])


def referring_keys(
    connection: Connection, catalog: Catalog, run_id: str, reference: DeferredReference, limit: int
) -> list[Key]:
    """Keys of rows that seem to go, and still refer to one that seems to go as well."""
    query = sql.SQL("select c.key from {} order by c.key limit {}").format(
        _joined(catalog, run_id, reference), sql.Literal(limit)
    )
    return [tuple(row[0]) for row in connection.execute(query).fetchall()]


def unlink(
    connection: Connection, catalog: Catalog, run_id: str, batch_id: uuid.UUID, reference: DeferredReference,
    keys: Collection[Key],
) -> int:  # fmt: skip
    """Set the references of these keys to NULL, journalled under this batch; how many.  The caller holds their buckets
    and asked legacy again."""
    column = sql.Identifier(reference.column)
    chosen = record_among(keys, sql.SQL("c.key"))
    batch = Batch(run_id, batch_id, reference.entity, reference.source)
    written = sql.SQL(
        "select key, old_id, written_by, prior, jsonb_build_object({}::text, parent)"
        " from old join done on done.id = old_id"
    ).format(reference.column)
    return write(
        connection,
        sql.SQL(
            "with old as (select t.id as old_id, c.key, t.xmin as prior, t.{column} as parent from {rows} and {chosen}"
            " order by t.id for no key update of t),"
            " done as (update {table} t set {column} = null from old, {natives} where t.id = old_id"
            "  returning t.id, t.xmin as written_by)"
            " {journal}"
        ).format(
            column=column, rows=_joined(catalog, run_id, reference), chosen=chosen,
            table=table(catalog[reference.entity].target), natives=AS_NATIVES,
            journal=entries(batch, "link", written),
        ),
    ).rowcount  # fmt: skip


def _joined(catalog: Catalog, run_id: str, reference: DeferredReference) -> sql.Composed:
    """Candidate c, its row t, the row that it refers to, and that one's candidate d."""
    child, parent = catalog[reference.entity], catalog[reference.parent]
    referred = sql.SQL("(select t.id, d.key from hybrid_sync.delete_candidate d join {} t on {} where {})").format(
        table(parent.target), is_row_of(parent.sources[reference.parent_source], sql.SQL("d.key")),
        _open("d", run_id, reference.parent, reference.parent_source),
    )  # fmt: skip
    return sql.SQL("hybrid_sync.delete_candidate c join {} t on {} join {} p on p.id = t.{} where {}").format(
        table(child.target), is_row_of(child.sources[reference.source], sql.SQL("c.key")), referred,
        sql.Identifier(reference.column), _open("c", run_id, reference.entity, reference.source),
    )  # fmt: skip


def _open(alias: str, run_id: str, entity: str, source: str) -> sql.Composed:
    return sql.SQL("{a}.run_id = {} and {a}.entity = {} and {a}.source = {} and {a}.outcome is null").format(
        *map(sql.Literal, (run_id, entity, source)), a=sql.Identifier(alias)
    )
