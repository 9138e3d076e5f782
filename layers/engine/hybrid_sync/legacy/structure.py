"""What the catalog's expressions really are in legacy: their natural types, asked without reading a row."""

from __future__ import annotations

import hashlib
import json

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import expression, spliced
from hybrid_sync.catalog.compile import relations
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.shape import NaturalTypes
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.pgtypes import describe
from hybrid_sync.postgres import Connection, primary

_RELATION = """
select c.relkind, coalesce(json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnum)
                                    order by a.attnum), '[]')
from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.oid = to_regclass(%s) group by c.relkind, c.oid
"""
_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}


def natural_types(connection: Connection, entity: Entity, source_name: str) -> NaturalTypes:
    """The type of each column, key and reference as legacy computes it; StructureMismatch names what it lacks."""
    source = entity.sources[source_name]
    integers = [*source.key.values(), *(p.key for r in source.references.values() for p in r.parents)]
    probes: list[sql.Composable] = [expression(column) for column in source.columns.values()]
    probes += [spliced(e) for e in (*integers, *(rule.when for rule in source.rules))]
    query = sql.SQL("select {} from {} limit 0").format(sql.SQL(", ").join(probes), relations(source))
    try:
        cursor = connection.execute(query)
    except (psycopg.errors.SyntaxErrorOrAccessRuleViolation, psycopg.errors.DataError) as error:
        if error.sqlstate == "42501":
            raise
        raise StructureMismatch(
            f"Entity {entity.entity}, source {source_name}: legacy answers “{primary(error)}”.",
            "Correct the catalog, or the legacy table.",
        ) from None
    result = cursor.pgresult
    assert result is not None, "a SELECT has a result"
    wanted = len(source.columns) + len(integers)
    found = describe(connection, [(result.ftype(i), result.fmod(i)) for i in range(wanted)])
    return NaturalTypes(
        dict(zip(source.columns, found, strict=False)),
        dict(zip(integers, found[len(source.columns) :], strict=True)),
    )


def structure_hash(connection: Connection, entity: Entity) -> str:
    """Changes when a relation that the entity reads changes its columns; refuses what has no usable xmin."""
    seen: dict[str, object] = {}
    for source in entity.sources.values():
        for relation in _relations(source):
            row = connection.execute(_RELATION, (relation,)).fetchone()
            if row is None:
                raise StructureMismatch(
                    f"Legacy has no table {relation}, which entity {entity.entity} reads.",
                    "Correct the catalog, or grant the role USAGE on its schema.",
                )
            if row[0] in _KINDS and entity.detect == "commit_fence":
                raise StructureMismatch(
                    f"{relation} is {_KINDS[row[0]]}, so its rows carry no transaction id for entity {entity.entity}.",
                    "Name the tables behind it, or write `detect: timestamp`.",
                )
            seen[relation] = row[1]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def has_transaction_ids(connection: Connection, source: Source) -> bool:
    """Whether every relation that the source reads tells by xmin when a row was written."""
    kinds = [connection.execute(_RELATION, (relation,)).fetchone() for relation in _relations(source)]
    return all(row is not None and row[0] not in _KINDS for row in kinds)


def _relations(source: Source) -> list[str]:
    return sorted({source.table.table, *(j.table for j in source.joins), *(w.table for w in source.watch)})
