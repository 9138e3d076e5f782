"""What the target lets only one row have: its unique and exclusion constraints, in PostgreSQL's own words.

Operators are those of the index itself, by schema and name: what `=` means must not depend on any search_path, and an
exclusion constraint does not even ask for `=`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection

# `columns` are those that the index depends on, in an expression, its condition or a generated column too.
_INDEXES = """
select x.relname::text,
       array(select pg_get_indexdef(i.indexrelid, k, true) from generate_series(1, i.indnkeyatts) k),
       array(select format('operator(%%I.%%s)', n.nspname, o.oprname)
             from generate_series(1, i.indnkeyatts) k
             join pg_operator o on o.oid = coalesce(
               (select c.conexclop[k] from pg_constraint c
                where c.conindid = i.indexrelid and c.contype in ('x', 'u') and c.conexclop is not null),
               (select e.amopopr from pg_opclass oc join pg_amop e on e.amopfamily = oc.opcfamily
                and e.amoplefttype = oc.opcintype and e.amoprighttype = oc.opcintype and e.amopstrategy = 3
                where oc.oid = i.indclass[k - 1]))
             join pg_namespace n on n.oid = o.oprnamespace order by k),
       array(select case when l.oid is not null then format('collate %%I.%%I', n.nspname, l.collname) else '' end
             from generate_series(1, i.indnkeyatts) k
             left join pg_collation l on l.oid = i.indcollation[k - 1]
             left join pg_namespace n on n.oid = l.collnamespace order by k),
       pg_get_expr(i.indpred, i.indrelid),
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
       array(select distinct coalesce(b.attname, a.attname)::text from pg_attribute a
             left join pg_attrdef g on g.adrelid = a.attrelid and g.adnum = a.attnum and a.attgenerated <> ''
             left join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid
               and d.refobjsubid <> a.attnum and g.oid is not null
               and ((d.classid = 'pg_attrdef'::regclass and d.objid = g.oid)
                 or (d.classid = 'pg_class'::regclass and d.objid = a.attrelid and d.objsubid = a.attnum))
             left join pg_attribute b on b.attrelid = a.attrelid and b.attnum = d.refobjsubid and b.attnum > 0
             where a.attrelid = i.indrelid and a.attnum > 0
               and (a.attnum = any (i.indkey::int2[]) or exists (
                 select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                 and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum))
             order by 1),
       i.indisexclusion,
       (select format('%%I.%%I', n.nspname, c.conname) from pg_constraint c
        join pg_namespace n on n.oid = c.connamespace
        where c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('u', 'x') and c.condeferrable),
       array(select a.attname::text from pg_attribute a
             where a.attrelid = i.indrelid and a.attnum = any(i.indkey::int2[]) and exists (
               select from pg_constraint c where c.contype = 'f' and c.confrelid = i.indrelid and c.confupdtype = 'c'
               and a.attnum = any(c.confkey)))
from pg_index i join pg_class x on x.oid = i.indexrelid
where i.indrelid = %s::regclass and (i.indisunique or i.indisexclusion) and i.indisvalid and not i.indisprimary
order by x.relname
"""
_GENERATED = """
select a.attname::text, pg_get_expr(g.adbin, g.adrelid) from pg_attribute a
join pg_attrdef g on g.adrelid = a.attrelid and g.adnum = a.attnum
where a.attrelid = %s::regclass and a.attgenerated <> '' and not a.attisdropped
"""
_MOST_NULLABLE = 4
"""Key columns of an index for whose NULLs every pattern is looked for; one column more doubles their number."""


@dataclass(frozen=True)
class Uniqueness:
    """One unique index or exclusion constraint: key expressions and condition over the table's columns."""

    name: str
    keys: tuple[str, ...]
    operators: tuple[str, ...]
    """Two rows exclude each other when all of these hold between their keys."""
    collations: tuple[str, ...]
    condition: str | None
    nulls_equal: bool
    columns: tuple[str, ...]
    exclusion: bool
    deferrable: str | None
    """The constraint's name as SET CONSTRAINTS takes it, where it can wait."""
    followed: tuple[str, ...]
    """Columns whose value others' foreign keys follow (ON UPDATE CASCADE)."""

    def conflict(self, new: str, old: str) -> list[sql.Composable]:
        """Conditions of which one holds when the keys of `new` and of `old` exclude each other.

        Separate, so that each can be a join of its own which an index or a hash serves: OR serves neither.
        """
        same = [
            sql.SQL("{old}.{key} {operator} ({new}.{key} {collation})").format(
                old=sql.Identifier(old), new=sql.Identifier(new), key=sql.Identifier(f"k{i}"), operator=raw(operator),
                collation=raw(collation),
            )
            for i, (operator, collation) in enumerate(zip(self.operators, self.collations, strict=True))
        ]  # fmt: skip
        if not self.nulls_equal:
            return [_all(same)]
        both_null = [
            sql.SQL("{old}.{key} is null and {new}.{key} is null").format(
                old=sql.Identifier(old), new=sql.Identifier(new), key=sql.Identifier(f"k{i}")
            )
            for i in range(len(same))
        ]
        places = range(min(len(same), _MOST_NULLABLE))
        patterns = [set(some) for n in range(len(places) + 1) for some in combinations(places, n)]
        return [_all([both_null[i] if i in nulls else part for i, part in enumerate(same)]) for nulls in patterns]

    def keys_of(self, rows: sql.Composable) -> sql.Composed:
        """`id` and the keys, as k0, k1, …, of those of `rows` that the index covers."""
        keys = [sql.SQL("({}) as {}").format(raw(key), sql.Identifier(f"k{i}")) for i, key in enumerate(self.keys)]
        return sql.SQL("(select id, {} from {} r where ({}))").format(
            sql.SQL(", ").join(keys), rows, raw(self.condition or "true")
        )


def uniqueness_of(connection: Connection, relation: sql.Identifier, columns: Iterable[str]) -> list[Uniqueness]:
    """What of the table's uniqueness, besides its primary key, a change of these columns can affect."""
    rows = connection.execute(_INDEXES, (relation.as_string(connection),)).fetchall()
    changing = set(columns)
    found = [_hashable(row) for row in rows]
    return [one for one in found if not changing.isdisjoint(one.columns) and len(one.operators) == len(one.keys)]


def _hashable(row: Iterable[Any]) -> Uniqueness:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    return Uniqueness(*values)


def generated_columns(connection: Connection, relation: sql.Identifier) -> Mapping[str, str]:
    """The expressions of the columns that the table computes by itself."""
    return dict(connection.execute(_GENERATED, (relation.as_string(connection),)).fetchall())


def _all(parts: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(sql.SQL(" and ").join(parts))
