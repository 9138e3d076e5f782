"""What the target table really looks like; asked once per entity and run."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import split, table
from hybrid_sync.catalog.shape import TargetColumn, TargetTable
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.pgtypes import describe
from hybrid_sync.postgres import Connection

_COLUMNS = """
select a.attname, a.atttypid::int8, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.attgenerated = '' and a.attidentity <> 'a',
       (select n2.nspname || '.' || c2.relname
        from pg_constraint k join pg_class c2 on c2.oid = k.confrelid join pg_namespace n2 on n2.oid = c2.relnamespace
        where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum]
        -- From PostgreSQL 18 on a foreign key can be declared and not enforced.
        and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) limit 1)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p')
order by a.attnum
"""

# Only indexes that hold always count: not partial, not on expressions, valid.
_UNIQUE = """
select array_agg(a.attname::text)
from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = %s::regclass and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
group by i.indexrelid
"""

# Validated, enforced, of a single column, and to the parent's id: such a foreign key proves that nothing dangles.
_GUARDED = """
select a.attname, n.nspname, c.relname
from pg_constraint k
join pg_attribute a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
join pg_attribute i on i.attrelid = k.confrelid and k.confkey = array[i.attnum] and i.attname = 'id'
join pg_class c on c.oid = k.confrelid join pg_namespace n on n.oid = c.relnamespace
where k.conrelid = %s::regclass and k.contype = 'f' and k.convalidated
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
"""

# What a rule does instead of a write, or beside it, no count of rows would tell.
_RULES = """
select string_agg(quote_ident(rulename), ', ' order by rulename) from pg_rewrite
where ev_class = %s::regclass and ev_enabled <> 'D' and ev_type <> '1'
"""


def read_table(connection: Connection, entity: Entity) -> TargetTable:
    """The structure of the entity's target table; StructureMismatch names what is missing."""
    schema, name = split(entity.target)
    rows = connection.execute(_COLUMNS, (schema, name)).fetchall()
    if not rows:
        raise StructureMismatch(
            f"The target has no table {schema}.{name}, which entity {entity.entity} names.",
            "Create it, or correct `target` in the catalog.",
        )
    types = describe(connection, [(oid, modifier) for _, oid, modifier, *_ in rows])
    columns = {
        name: TargetColumn(name, oid, type_sql, kind, *rest)
        for (name, oid, _, type_sql, *rest), kind in zip(rows, types, strict=True)
    }
    regclass = table(entity.target).as_string(connection)
    security = _require_rights(connection, entity, regclass)
    _refuse_rules(connection, entity, regclass)
    unique = connection.execute(_UNIQUE, (regclass,)).fetchall()
    found = TargetTable(schema, name, columns, security, frozenset(frozenset(u[0]) for u in unique))
    _require(entity, found)
    if entity.adopt is not None:
        _require_adoptable(connection, entity, found)
    return found


def guarded(connection: Connection, relation: str) -> set[tuple[str, str, str]]:
    """(column, schema, table): references that a foreign key of the target keeps from dangling."""
    rows = connection.execute(_GUARDED, (table(relation).as_string(connection),)).fetchall()
    return {(column, schema, name) for column, schema, name in rows}


def base_types(connection: Connection, found: TargetTable, columns: Iterable[str]) -> dict[str, str]:
    """The columns' types without modifiers and domains: they stage any value, and the table then judges it."""
    names = list(columns)
    row = connection.execute(
        "select array(select format_type(o, -1) from unnest(%s::oid[]) with ordinality u(o, place) order by place)",
        ([found.columns[name].base_oid for name in names],),
    ).fetchone()
    assert row is not None, "a constructed array is one row"
    return dict(zip(names, row[0], strict=True))


def _require_rights(connection: Connection, entity: Entity, regclass: str) -> bool:
    """MissingPrivilege unless the role may write the table; whether row security applies to it."""
    row = connection.execute(
        "select current_user, array_to_string(array(select r from unnest(array['select', 'insert', 'update']) r"
        " where not has_table_privilege(%s::regclass, r)), ', '), row_security_active(%s::regclass)",
        (regclass, regclass),
    ).fetchone()
    assert row is not None, "a select without a table is one row"
    if row[1]:
        raise MissingPrivilege(
            f"The target role {row[0]} may not {row[1]} on {entity.target}, which entity {entity.entity} writes.",
            "Run `hybrid-sync install`, which grants what the catalog needs.",
        )
    return bool(row[2])


def _refuse_rules(connection: Connection, entity: Entity, regclass: str) -> None:
    row = connection.execute(_RULES, (regclass,)).fetchone()
    if row is not None and row[0]:
        raise StructureMismatch(
            f"The target table {entity.target} has the rule {row[0]}, which would change what is written.",
            "Drop or disable the rule; a trigger can do the same row by row.",
        )


def _require(entity: Entity, found: TargetTable) -> None:
    source = next(iter(entity.sources.values()))
    place = f"{found.schema}.{found.name}"
    for name in (
        "id",
        *source.key,
        *source.discriminator,
        *source.references,
        *source.columns,
        *entity.on_delete.set,
    ):
        column = found.columns.get(name)
        if column is None:
            raise StructureMismatch(
                f"The target table {place} has no column {name}, which entity {entity.entity} writes.",
                "Add the column, or take it out of the catalog.",
            )
        if not column.writable:
            raise StructureMismatch(
                f"The target column {place}.{name} is generated by the database, so it cannot be written.",
                "Take it out of the catalog.",
            )
    key = frozenset((*source.key, *source.discriminator))
    if not any(unique <= key for unique in found.unique_keys):
        raise StructureMismatch(
            f"The target table {place} has no unique index on its legacy key ({', '.join(sorted(key))}).",
            "Create one: it is what keeps one legacy row from becoming two.",
        )
    for name, reference in source.references.items():
        if reference.deferred and found.columns[name].not_null:
            raise StructureMismatch(
                f"The target column {place}.{name} is deferred in the catalog but not nullable.",
                "Drop its NOT NULL, or take `deferred` out of the catalog.",
            )


# Types whose values are equal exactly when their texts are, so that both servers agree on who is who.
_TELLING = {16: "boolean", 20: "bigint", 21: "smallint", 23: "integer", 25: "text", 1043: "varchar", 1082: "date",
            1114: "timestamp", 1184: "timestamptz", 2950: "uuid"}  # fmt: skip


def _require_adoptable(connection: Connection, entity: Entity, found: TargetTable) -> None:
    assert entity.adopt is not None, "asked only of an entity that adopts"
    place = f"{found.schema}.{found.name}"
    for name in next(iter(entity.sources.values())).key:
        if found.columns[name].not_null:
            raise StructureMismatch(
                f"The target column {place}.{name} is NOT NULL, so no native row can wait for adoption.",
                "Drop its NOT NULL, or take `adopt` out of the catalog.",
            )
    for name in entity.adopt.by:
        column = found.columns[name]
        if column.base_oid not in _TELLING and not column.labels:
            raise StructureMismatch(
                f"Entity {entity.entity} cannot adopt by {name}: equal values of {column.type_sql} may differ in text.",
                f"Name columns of type {', '.join(_TELLING.values())} or of an enum.",
            )
    # A condition that does not fit the table has to show before the first batch does.
    connection.execute(
        sql.SQL("select from {} t where ({}) limit 0").format(table(entity.target), raw(entity.adopt.when or "true"))
    )
