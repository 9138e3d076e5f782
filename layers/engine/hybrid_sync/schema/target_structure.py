"""What the target table really looks like; asked once per entity and run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from hybrid_sync.blame import primary
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import quoted, split, table
from hybrid_sync.catalog.shape import TargetColumn, TargetTable, identity_of
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.pgtypes import ask_types
from hybrid_sync.postgres import Connection, Cursor, Question
from hybrid_sync.rounds import Rounds, alike, alone

_COLUMNS = """
select a.attname, a.atttypid::bigint, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.attgenerated = '' and a.attidentity <> 'a',
       a.atthasdef or a.attidentity <> '' or (select t.typdefault is not null from pg_type t where t.oid = a.atttypid),
       (select array[n2.nspname::text, c2.relname::text]
        from pg_constraint k join pg_class c2 on c2.oid = k.confrelid join pg_namespace n2 on n2.oid = c2.relnamespace
        where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum]
        -- From PostgreSQL 18 on a foreign key can be declared and not enforced.
        and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
        -- Who loads rows in a hurry switches them off.
        and not exists (select from pg_trigger g where g.tgconstraint = k.oid and g.tgenabled in ('D', 'R')) limit 1),
       a.attnum, a.attidentity = 'a', c.oid::bigint
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p')
order by a.attnum
"""

_IDENTITY = (
    "select attrelid::bigint, attname, attnum, format_type(atttypid, atttypmod) from pg_attribute"
    " where attrelid = to_regclass(%s) and attname = any(%s)"
)

# Only indexes that hold always count: not partial, not on expressions, valid.
_UNIQUE = """
select array_agg(a.attname::text)
from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = %s::regclass and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
group by i.indexrelid
"""

# BEFORE INSERT for each row, and enabled: it may fill what nobody else does.
_FILLING = "select exists (select from pg_trigger where tgrelid = %s::regclass and tgtype & 7 = 7 and tgenabled <> 'D')"

# Validated, enforced, its triggers enabled, of a single column, and to the parent's id: such a foreign key proves that
# nothing dangles.
_GUARDED = """
select a.attname, n.nspname, c.relname
from pg_constraint k
join pg_attribute a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
join pg_attribute i on i.attrelid = k.confrelid and k.confkey = array[i.attnum] and i.attname = 'id'
join pg_class c on c.oid = k.confrelid join pg_namespace n on n.oid = c.relnamespace
where k.conrelid = %s::regclass and k.contype = 'f' and k.convalidated
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  and not exists (select from pg_trigger g where g.tgconstraint = k.oid and g.tgenabled in ('D', 'R'))
"""

# From PostgreSQL 18 on; a row that moves to another partition has lost its version there.  And which tables lie below.
_TELLS_OLD = """
select current_setting('server_version_num')::int >= 180000 and relkind = 'r', (
  with recursive below (oid) as (
    select inhrelid from pg_inherits where inhparent = c.oid
    union select i.inhrelid from below b join pg_inherits i on i.inhparent = b.oid
  ) select left(encode(sha256(string_agg(oid::text, ' ' order by oid)::bytea), 'hex'), 16) from below)
from pg_class c where oid = %s::regclass
"""

# What a rule does instead of a write, or beside it, no count of rows would show.
_RULES = """
select (select string_agg(quote_ident(rulename), ', ' order by rulename) from pg_rewrite
        where ev_class = c.oid and ev_enabled <> 'D' and ev_type <> '1'),
       exists (select from pg_inherits i where i.inhparent = c.oid and c.relkind = 'r')
from pg_class c where c.oid = %s::regclass
"""

# And whether others' foreign keys follow what an update changes; ids and keys stay.
_FIRES = """
select array_remove(array[case when bool_or(tgtype & 4 <> 0) then 'insert' end,
                          case when bool_or(tgtype & 16 <> 0) then 'update' end,
                          case when bool_or(tgtype & 8 <> 0) then 'delete' end], null),
       exists (
         select from pg_constraint k join pg_attribute a on a.attrelid = k.confrelid and a.attnum = any(k.confkey)
         where k.contype = 'f' and k.confupdtype in ('c', 'n', 'd') and not a.attname = any(%s)
         and k.confrelid in (select %s::regclass union select relid from pg_partition_tree(%s::regclass)))
from pg_trigger
where tgrelid in (select %s::regclass union select relid from pg_partition_tree(%s::regclass))
  and not tgisinternal and tgenabled in ('O', 'A')
"""

# Whatever keeps a value out, also while it is being made, and in a partition alone; what holds an id or a key stays.
_MOVING = """
select exists (
  select from pg_index i
  where i.indrelid in (select %s::regclass union select relid from pg_partition_tree(%s::regclass))
    and (i.indisunique or i.indisexclusion)
    and (i.indisexclusion or i.indpred is not null or i.indexprs is not null or exists (
      select from pg_attribute a
      where a.attrelid = i.indrelid and a.attnum = any(i.indkey) and not a.attname = any(%s))))
"""

_RIGHTS = """
select current_user, array_to_string(array(select r from unnest(array['select', 'insert', 'update']) r
                                           where not has_table_privilege(%s::regclass, r)), ', '),
       row_security_active(%s::regclass)
"""


def read_table(connection: Connection, entity: Entity) -> TargetTable:
    """The structure of the entity's target table; StructureMismatch names what is missing.

    It waits for nobody's lock: a plan of a statement would.
    """
    return alone(connection, table_in_rounds(entity))


def table_in_rounds(entity: Entity) -> Rounds[TargetTable]:
    """`read_table` in rounds of questions."""
    schema, name = split(entity.target)
    [rows] = yield [alike(_COLUMNS, [("text", schema), ("text", name)], list)]
    if not rows:
        raise StructureMismatch(
            f"The target has no table {schema}.{name}, which entity {entity.entity} names.",
            "Create it, or correct `target` in the catalog.",
        )
    place: tuple[LiteralString, str] = ("text", quoted(entity.target))
    kept = ["id", *dict.fromkeys(c for s in entity.sources.values() for c in (*s.key, *s.discriminator))]
    types, security, has_heirs, unique, filled, (fires, cascades), (tells_old, below), moving = yield [
        ask_types([(oid, modifier) for _, oid, modifier, *_ in rows]),
        alike(
            _RIGHTS, [place, place],
            lambda rows: _require_rights(entity, rows[0]),
            lambda error: _unreachable(entity, error),
        ),
        alike(_RULES, [place], lambda rows: _refuse_rules(entity, *rows[0])),
        alike(_UNIQUE, [place], lambda rows: frozenset(frozenset(row[0]) for row in rows)),
        alike(_FILLING, [place], lambda rows: bool(rows[0][0])),
        alike(
            _FIRES, [("text[]", kept), place, place, place, place],
            lambda rows: (frozenset(rows[0][0]), bool(rows[0][1])),
        ),
        alike(_TELLS_OLD, [place], lambda rows: (bool(rows[0][0]), rows[0][1] or "")),
        alike(_MOVING, [place, place, ("text[]", kept)], lambda rows: bool(rows[0][0])),
    ]  # fmt: skip
    if has_heirs:  # no unique index covers a table and those that inherit from it
        yield [_refuse_doubled(entity, source) for source in entity.sources.values()]
    columns = {
        name: TargetColumn(
            name,
            oid,
            type_sql,
            kind,
            not_null,
            writable,
            default,
            (parent[0], parent[1]) if parent else None,
            number,
            numbered,
        )
        for (name, oid, _, type_sql, not_null, writable, default, parent, number, numbered, _), kind in zip(
            rows, types, strict=True
        )
    }
    moving = moving or filled or bool(fires)
    return TargetTable(
        schema, name, columns, security, unique, filled, fires, rows[0][-1], tells_old, moving, below, cascades
    )


def written_by(entity: Entity) -> set[str]:
    """The columns of its table that the entity writes."""
    return {c for s in entity.sources.values() for c in (*s.key, *s.columns, *s.references, *s.discriminator)}


def ask_identity(entity: Entity) -> Question[str]:
    """What `TargetTable.identity_of` says of the columns that the entity writes, as they are now."""

    names = sorted(written_by(entity))

    def meaning(found: Cursor) -> str:
        rows = found.fetchall()
        return identity_of(rows[0][0] if rows else 0, [tuple(row[1:]) for row in rows], names)

    return Question(_IDENTITY, (quoted(entity.target), names), meaning)


def table_as_planned(entity: Entity, planned: str) -> Question[None]:
    """Refuses where `ask_identity` is another one; asked behind a statement that reads or writes the table, what it
    finds stays until the transaction ends."""
    asked = ask_identity(entity)

    def meaning(found: Cursor) -> None:
        if asked.meaning(found) != planned:
            raise StructureMismatch(
                "The target table, or a column of it, was made anew or retyped while the run was at work"
                f" (entity {entity.entity}).",
                "Start the run again: it reads all rows.",
            )

    return Question(asked.query, asked.parameters, meaning)


def guarded(relation: str) -> Question[set[tuple[str, str, str]]]:
    """(column, schema, table): references that a foreign key of the target keeps from dangling."""
    return Question(
        _GUARDED,
        (table(relation).as_string(None),),
        lambda found: {(column, schema, name) for column, schema, name in found.fetchall()},
    )


def base_types(connection: Connection, found: TargetTable, columns: Iterable[str]) -> dict[str, str]:
    """The columns' types without modifiers and domains: they stage any value, and the table then judges it."""
    names = list(columns)
    row = connection.execute(
        "select array(select format_type(o, -1) from unnest(%s::oid[]) with ordinality u(o, place) order by place)",
        ([found.columns[name].base_oid for name in names],),
    ).fetchone()
    assert row is not None, "a constructed array is one row"
    return dict(zip(names, row[0], strict=True))


def _unreachable(entity: Entity, error: psycopg.Error) -> StructureMismatch | MissingPrivilege:
    if error.sqlstate == "42501":
        return MissingPrivilege(
            f"The target role may not use the schema of {entity.target}, which entity {entity.entity} writes.",
            "Run `hybrid-sync install`, which grants what the catalog needs.",
        )
    return StructureMismatch(
        f"The target answers “{primary(error)}” when it is asked for {entity.target}.",
        "Correct `target`, or the table.",
    )


def _require_rights(entity: Entity, row: tuple[Any, ...]) -> bool:
    """MissingPrivilege unless the role may write the table; whether row security applies to it."""
    if row[1]:
        raise MissingPrivilege(
            f"The target role {row[0]} may not {row[1]} on {entity.target}, which entity {entity.entity} writes.",
            "Run `hybrid-sync install`, which grants what the catalog needs.",
        )
    return bool(row[2])


def _refuse_rules(entity: Entity, rules: str | None, has_heirs: bool) -> bool:
    """StructureMismatch where a rule stands in the way; else whether other tables inherit from this one."""
    if rules:
        raise StructureMismatch(
            f"The target table {entity.target} has the rule {rules}, which would change what is written.",
            "Drop or disable the rule; a trigger can do the same row by row.",
        )
    return has_heirs


def _refuse_doubled(entity: Entity, source: Source) -> Question[None]:
    """Raises StructureMismatch where a legacy key stands in the table and in one that inherits from it: whoever counts
    keys would take the two rows for one."""

    def require_none(found: Cursor) -> None:
        if found.fetchall():
            raise StructureMismatch(
                f"The target table {entity.target} and those that inherit from it hold two rows under one legacy key.",
                "Delete the one that does not belong there: no unique index covers all of these tables.",
            )

    key = [sql.Identifier(column) for column in (*source.key, *source.discriminator)]
    query = sql.SQL("select from {table} where {known} group by {key} having count(*) > 1 limit 1").format(
        table=table(entity.target), key=sql.SQL(", ").join(key),
        known=sql.SQL(" and ").join(sql.SQL("{} is not null").format(column) for column in key),
    )  # fmt: skip
    return Question(query, (), require_none)


def has_columns(connection: Connection, target: str, names: Collection[str]) -> bool:
    """Whether the table is there and has all of these columns: one that was dropped refers to nothing."""
    row = connection.execute(
        "select count(*) from pg_catalog.pg_attribute where attrelid = to_regclass(%s) and not attisdropped"
        " and attname = any(%s)",
        (table(target).as_string(connection), list(names)),
    ).fetchone()
    return row is not None and int(row[0]) == len(set(names))
