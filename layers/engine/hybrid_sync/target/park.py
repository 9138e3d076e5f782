"""Swapped unique values: rows of one batch that want each other's values are parked first, then set.

PostgreSQL checks a unique index row by row, so a swap is refused although its end would be sound.  Every row whose
present value another row of the batch wants is moved aside under a savepoint; then all are set.  A row that is
refused even so keeps its old value, and with it those that wanted that value; the others are set again without them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.postgres import Connection, is_row_state
from hybrid_sync.rows.splice import Spliced
from hybrid_sync.target.native import AS_NATIVES, write
from hybrid_sync.target.row_loop import Refusal, RowLoop

_UNIQUE, _EXCLUSION = "23505", "23P01"

# `columns` are those that the index depends on, in an expression or its condition too.
_INDEXES = """
select x.relname::text,
       array(select pg_get_indexdef(i.indexrelid, k, true) from generate_series(1, i.indnkeyatts) k),
       pg_get_expr(i.indpred, i.indrelid),
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
       array(select a.attname::text from pg_attribute a
             where a.attrelid = i.indrelid and a.attnum > 0
               and (a.attnum = any (i.indkey::int2[]) or exists (
                 select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                 and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum)))
from pg_index i join pg_class x on x.oid = i.indexrelid
where i.indrelid = %s::regclass and i.indisunique and i.indisvalid and not i.indisprimary
order by x.relname
"""

_TEXTS = (25, 1043)
# A digit string of the row's id before the old value: most formats (an e-mail address, a phone number) still hold.
_PREFIX = "lpad(abs(('x' || md5(t.id::text))::bit(63)::int8)::text, 19, '0')"
_BY_TYPE = {
    2950: "md5('parked ' || t.id)::uuid",
    21: "(-32768 + s.hybrid_sync_n)::int2",
    23: "-2147483648 + s.hybrid_sync_n",
    20: "-9223372036854775808 + s.hybrid_sync_n",
    1082: "date '0001-01-01' + s.hybrid_sync_n",
    1114: "timestamp '0001-01-01' + s.hybrid_sync_n * interval '1 day'",
    1184: "timestamptz '0001-01-01Z' + s.hybrid_sync_n * interval '1 day'",
}


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index in the words of PostgreSQL itself: key expressions and condition over the table's columns."""

    name: str
    keys: tuple[str, ...]
    condition: str | None
    nulls_equal: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Want:
    """`taker` is to get the value that `holder` has."""

    index: UniqueIndex
    taker: uuid.UUID
    holder: uuid.UUID


def write_contested(loop: RowLoop, rows: Sequence[Spliced], refused: Sequence[Refusal]) -> list[Refusal]:
    """Try again what a unique value kept out, with the contested values parked; what remains refused.

    Where nothing can be parked the second try still helps a chain, whose last link has moved on by now.
    """
    contested = {r.id for r in refused if r.sqlstate in (_UNIQUE, _EXCLUSION)}
    if not contested:
        return list(refused)
    out = [r for r in refused if r.id not in contested]
    waiting = [row for row in rows if uuid.UUID(bytes=row.data[6:22]) in contested]
    loop.stage(waiting, flagged=True)
    while contested:
        lost = _set_all(loop)
        if not lost:
            break
        out += lost
        contested -= {r.id for r in lost}
        loop.keep(contested)
    return out


class _Undone(Exception):
    """Rows were refused while others stood parked: everything since the savepoint is undone."""


def _set_all(loop: RowLoop) -> list[Refusal]:
    """Park and set the staged rows; nothing is written when some are refused, who come back with their dependants."""
    refused: list[Refusal] = []
    wants: list[Want] = []
    try:
        with loop.connection.transaction():
            loop.connection.execute(loop.everything.take_images())
            wants = _wants(loop)
            for index in {w.index.name: w.index for w in wants}.values():
                _park(loop, index, {w.holder for w in wants if w.index.name == index.name})
            refused = loop.update_imaged()
            if refused:
                raise _Undone
    except _Undone:
        return refused + _dependants(wants, {r.id for r in refused})
    return []


def _dependants(wants: Sequence[Want], staying: set[uuid.UUID]) -> list[Refusal]:
    """Rows that want a value whose holder keeps it, and in turn those that want theirs."""
    takers: dict[uuid.UUID, list[Want]] = {}
    for want in wants:
        takers.setdefault(want.holder, []).append(want)
    found: list[Refusal] = []
    seen, waiting = set(staying), list(staying)
    while waiting:
        for want in takers.get(waiting.pop(), ()):
            if want.taker not in seen:
                seen.add(want.taker)
                waiting.append(want.taker)
                found.append(Refusal(want.taker, _UNIQUE, want.index.name))
    return found


def unique_indexes(connection: Connection, relation: sql.Identifier) -> list[UniqueIndex]:
    """The table's unique indexes, its primary key apart."""
    rows = connection.execute(_INDEXES, (relation.as_string(connection),)).fetchall()
    return [UniqueIndex(row[0], tuple(row[1]), row[2], row[3], tuple(row[4])) for row in rows]


# --- who wants whose value ---------------------------------------------------------------------------------------


def _wants(loop: RowLoop) -> list[Want]:
    changing = set(loop.statements.changing)
    relation = loop.statements.relation
    found: list[Want] = []
    for index in unique_indexes(loop.connection, relation):
        if changing.isdisjoint(index.columns):
            continue
        try:
            with loop.connection.transaction():
                pairs = loop.connection.execute(_wants_sql(loop, index)).fetchall()
        except (psycopg.errors.UndefinedFunction, psycopg.errors.DataError):
            # A type without a visible `=`, or an index expression that fails on a new value: this index is not parked.
            continue
        found += [Want(index, taker, holder) for taker, holder in pairs]
    return found


def _wants_sql(loop: RowLoop, index: UniqueIndex) -> sql.Composed:
    """Pairs (taker, holder): the taker's new key equals the holder's present one."""
    statements = loop.statements
    images = sql.SQL("{} t join {} s on s.id = t.id").format(statements.relation, statements.stage)
    now = sql.SQL("select t.* from {}").format(images)
    then = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(
            sql.SQL("{} as {}").format(
                statements.cast(c) if c in statements.changing else sql.SQL("t.{}").format(sql.Identifier(c)),
                sql.Identifier(c),
            )
            for c in statements.table.columns
        ),
        images,
    )
    equal = sql.SQL("is not distinct from" if index.nulls_equal else "=")
    matched = sql.SQL(" and ").join(
        sql.SQL("a.{key} {equal} b.{key}").format(key=sql.Identifier(f"k{i}"), equal=equal)
        for i in range(len(index.keys))
    )
    return sql.SQL("select a.id, b.id from ({}) a join ({}) b on {} and a.id <> b.id").format(
        _keys_of(index, then), _keys_of(index, now), matched
    )


def _keys_of(index: UniqueIndex, rows: sql.Composed) -> sql.Composed:
    keys = [sql.SQL("({}) as {}").format(raw(key), sql.Identifier(f"k{i}")) for i, key in enumerate(index.keys)]
    return sql.SQL("select id, {} from ({}) r where ({})").format(
        sql.SQL(", ").join(keys), rows, raw(index.condition or "true")
    )


# --- parking -----------------------------------------------------------------------------------------------------


def _park(loop: RowLoop, index: UniqueIndex, holders: Iterable[uuid.UUID]) -> None:
    """Move the holders' values out of the index, by the first column that lets itself be moved; or leave them."""
    ids = list(holders)
    changing = set(loop.statements.changing)
    for column, value in spaces(index, [loop.statements.table.columns[c] for c in index.columns if c in changing]):
        try:
            with loop.connection.transaction():
                write(
                    loop.connection,
                    sql.SQL("update {} t set {} = {} from {} s, {} where s.id = t.id and t.id = any({})").format(
                        loop.statements.relation, sql.Identifier(column), value, loop.statements.stage, AS_NATIVES,
                        sql.Literal(ids),
                    ),
                )  # fmt: skip
            return
        except psycopg.Error as error:
            if not is_row_state(error.sqlstate):
                raise


def spaces(index: UniqueIndex, columns: Sequence[TargetColumn]) -> list[tuple[str, sql.Composable]]:
    """Columns of the index that are set back anyway, each with a value that nobody else has; NULL first.

    The value is an expression over the row `t` and its line `s`, whose number is `s.hybrid_sync_n`.
    """
    found: list[tuple[str, sql.Composable]] = []
    if not index.nulls_equal:
        found += [(c.name, sql.SQL("null")) for c in columns if not c.not_null]
    for column in columns:
        found += [(column.name, value) for value in _unused(column)]
    return found


def _unused(column: TargetColumn) -> list[sql.Composable]:
    """Values of the column's type that belong to this row alone; none for a reference, which must lead somewhere."""
    if column.references is not None or column.labels:
        return []
    if column.base_oid in _TEXTS:
        prefix, name = raw(_PREFIX), sql.Identifier(column.name)
        short = sql.SQL("right({}, {})").format(prefix, sql.Literal(column.max_length or 19))
        whole = sql.SQL("{} || t.{}").format(prefix, name)
        return [whole, short]
    if column.base_oid in _BY_TYPE:
        return [raw(_BY_TYPE[column.base_oid])]
    if column.base_oid == 1700 and column.precision is not None and column.scale is not None:
        least = sql.Literal("-" + "9" * (column.precision - column.scale))
        return [sql.SQL("{}::numeric + s.hybrid_sync_n").format(least)]
    return []
