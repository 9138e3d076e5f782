"""What a legacy key is in SQL: in legacy, in the target's key columns, and in the column `key` of our own records,
which is an array of its parts.  With `key_values`, which says what it is as a value, nobody else knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from psycopg import sql

from hybrid_sync.key_values import BUCKET as BUCKET
from hybrid_sync.key_values import HIGHEST as HIGHEST
from hybrid_sync.key_values import LOWEST as LOWEST
from hybrid_sync.key_values import Key as Key
from hybrid_sync.key_values import bucket_number as bucket_number
from hybrid_sync.key_values import bucket_numbers as bucket_numbers
from hybrid_sync.key_values import decode_key as decode_key
from hybrid_sync.key_values import decode_part as decode_part
from hybrid_sync.key_values import encode_key as encode_key
from hybrid_sync.key_values import first_part as first_part
from hybrid_sync.key_values import key_of_texts as key_of_texts
from hybrid_sync.key_values import key_text as key_text
from hybrid_sync.key_values import key_texts as key_texts
from hybrid_sync.key_values import single as single
from hybrid_sync.key_values import span as span
from hybrid_sync.postgres import Connection, Question, answer, send_with_next

FEW = 20_000
"""Keys that have room anyway."""
_BYTES_OF_A_KEY = 200
WORK_MB = 64
"""What sorting, grouping or hashing takes at most before it goes to disk; far from all of it is used."""
_TYPE = sql.SQL("int8")
_ALL = sql.SQL("")
_KEY = sql.SQL("key")
COLUMN = sql.SQL("int8[]")
"""The type of a record's key."""
PARAMETER = sql.SQL("%s::int8[]")
"""A key, or a list of bucket numbers, as a statement's parameter."""


class KeyedSource(Protocol):
    """What distinguishes a source's rows in the target from those of other sources, as the catalog says it."""

    @property
    def key(self) -> Mapping[str, str]: ...
    @property
    def discriminator(self) -> Mapping[str, str]: ...


# --- buckets ---------------------------------------------------------------------------------------------------------


def bucket_of(key: sql.Composable) -> sql.Composed:
    """The number of the bucket that a row's first key column falls in."""
    # Subtracting before dividing would leave bigint at its lower end.
    return sql.SQL("({k}::int8 / {b} - ({k}::int8 % {b} < 0)::int)").format(k=key, b=sql.Literal(BUCKET))


def first_of_record() -> sql.Composed:
    """The first part of a record's key, by which the buckets go."""
    return sql.SQL("{}[1]").format(_KEY)


def offset_in_bucket(key: sql.Composable) -> sql.Composed:
    """The key's offset in its bucket, from 0: the first key of the lowest bucket is no bigint, so nothing is
    subtracted from it."""
    return sql.SQL("((({k}::int8 % {b}) + {b}) % {b})::int").format(k=key, b=sql.Literal(BUCKET))


def between(key: sql.Composable, lo: int | None, hi: int | None) -> sql.Composable:
    """Keys from `lo` to before `hi`, as a condition that a key index serves; None is no end."""
    parts: list[sql.Composable] = []
    # An end beyond bigint bounds nothing, and as a numeric it would keep the index from being used.
    if lo is not None and lo > LOWEST:
        parts.append(sql.SQL("{} >= {}").format(key, sql.Literal(lo)))
    if hi is not None and hi <= HIGHEST:
        parts.append(sql.SQL("{} < {}").format(key, sql.Literal(hi)))
    return sql.SQL(" and ").join(parts) if parts else sql.SQL("true")


# --- SQL: key columns and expressions --------------------------------------------------------------------------------


def key_parts(exprs: Iterable[sql.Composable]) -> list[sql.Composed]:
    """The parts of a key in one type on both sides, whatever types the columns have."""
    return [sql.SQL("({})::{}").format(expr, _TYPE) for expr in exprs]


def key_list(exprs: Iterable[sql.Composable]) -> sql.Composed:
    """The parts as a list of a SELECT."""
    return sql.SQL(", ").join(key_parts(exprs))


def record_key(exprs: Iterable[sql.Composable]) -> sql.Composed:
    """The key as our own records store it."""
    return sql.SQL("(array[{}])").format(key_list(exprs))


def key_columns(names: Iterable[str], alias: str | sql.Composable | None = None) -> list[sql.Composable]:
    """Key columns by name, of the relation or alias."""
    if alias is None:
        return [sql.Identifier(name) for name in names]
    of = sql.Identifier(alias) if isinstance(alias, str) else alias
    return [sql.SQL("{}.{}").format(of, sql.Identifier(name)) for name in names]


def key_arrays(keys: Sequence[Key], width: int) -> list[sql.Composed]:
    """An array for each part: the first parts of all keys, the second ones, and so on."""
    return [sql.SQL("({}::{})").format("{" + ",".join([str(k[i]) for k in keys]) + "}", COLUMN) for i in range(width)]


def key_table(keys: Sequence[Key], width: int, some: sql.Composable = _ALL) -> sql.Composed:
    """A SELECT of these keys, a column for each part; `some` is a slice of them."""
    return sql.SQL("select * from unnest({})").format(sql.SQL(", ").join(a + some for a in key_arrays(keys, width)))


def one_of(exprs: Sequence[sql.Composable], keys: Iterable[Key], some: sql.Composable = _ALL) -> sql.Composed:
    """Exactly these keys, as a condition that a key index serves; `some` is a slice of them."""
    wanted = list(keys)
    if len(exprs) == 1:
        return sql.SQL("{} = any({}{})").format(exprs[0], key_arrays(wanted, 1)[0], some)
    return sql.SQL("({}) in ({})").format(sql.SQL(", ").join(exprs), key_table(wanted, len(exprs), some))


def among(exprs: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composable:
    """The condition that the key is one of these, where all rows are read anyway: a subquery that is hashed. IS TRUE
    keeps the planner from making it a join, which it would plan by wrong estimates."""
    if not keys:
        return sql.SQL("false")
    return sql.SQL("((({}) in ({})) is true)").format(key_list(exprs), key_table(keys, len(exprs)))


def none_of(exprs: Sequence[sql.Composable], keys: Sequence[Key]) -> sql.Composable:
    """The condition that the key is none of these: a subquery, which is hashed, where PostgreSQL before 15 walks a
    list for every row."""
    if not keys:
        return sql.SQL("true")
    return sql.SQL("({}) not in ({})").format(key_list(exprs), key_table(keys, len(exprs)))


def make_room(connection: Connection, keys: int = 0) -> None:
    """Let what follows in the transaction hash so many keys, and group rows by bucket, without a detour over the disk.

    Beyond `work_mem` a subquery is walked for every row instead; and of each group the planner expects so much (8 kB
    for what it gathers as text) that it writes rows to disk which in truth take a few kilobytes.
    """
    megabytes = max(WORK_MB, keys * _BYTES_OF_A_KEY >> 20)
    send_with_next(connection, sql.SQL("set local work_mem = {}").format(sql.Literal(f"{megabytes}MB")))


def keys_after(exprs: Sequence[sql.Composable], key: Key | None) -> sql.Composed:
    """The condition that the key comes after this one, in key order; true where there is none."""
    if key is None:
        return sql.SQL("true").format()
    # As texts: the smallest bigint written as a number is a numeric, for which no index serves.
    ends = sql.SQL(", ").join(sql.SQL("{}::{}").format(sql.Literal(str(part)), _TYPE) for part in key)
    return sql.SQL("({}) > ({})").format(sql.SQL(", ").join(exprs), ends)


# --- SQL: the target's rows of a source ------------------------------------------------------------------------------


def belongs_to(source: KeyedSource, alias: str | sql.Composable | None = None) -> sql.Composed:
    """The condition that a row of the target came from this source: rows born natively have no key."""
    keyed = [sql.SQL("{} is not null").format(column) for column in key_columns(source.key, alias)]
    return sql.SQL(" and ").join([*keyed, of_source(source, alias)])


def of_source(source: KeyedSource, alias: str | sql.Composable | None = None) -> sql.Composed:
    """The condition that a row of the target belongs to no other source; native rows may have any values."""
    values = source.discriminator
    constants = [
        sql.SQL("{}::text = {}").format(column, value)
        for column, value in zip(key_columns(values, alias), values.values(), strict=True)
    ]
    return sql.SQL(" and ").join(constants or [sql.SQL("true").format()])


def is_row_of(source: KeyedSource, key: sql.Composable, alias: str = "t") -> sql.Composed:
    """The condition that the target's row is the source's row of this record key."""
    same = [
        sql.SQL("{} = ({})[{}]").format(column, key, i + 1) for i, column in enumerate(key_columns(source.key, alias))
    ]
    return sql.SQL(" and ").join([*same, of_source(source, alias)])


# --- SQL: the keys of our records ------------------------------------------------------------------------------------


def key_from_json(array: sql.Composable) -> sql.Composed:
    """The key that a JSON array holds."""
    return sql.SQL("array(select jsonb_array_elements_text({})::{})").format(array, _TYPE)


def key_literal(key: Sequence[int]) -> sql.Composed:
    """A key as a constant."""
    return sql.SQL("{}::{}").format(sql.Literal(list(key)), COLUMN)


def records_after(place: tuple[str, str, Key] | None, alias: str) -> sql.Composable:
    """The condition that a record comes after the one of this entity, source and key, in that order; true where
    there is none."""
    if place is None:
        return sql.SQL("true")
    order = sql.SQL(", ").join(sql.Identifier(alias, name) for name in ("entity", "source", "key"))
    return sql.SQL("({}) > ({}, {}, {})").format(order, place[0], place[1], key_literal(place[2]))


def record_among(keys: Iterable[Key], column: sql.Composable = _KEY) -> sql.Composed:
    """The condition that a record's key is one of these, at the same cost whatever the planner expects.

    A range for the index that begins with the key, and a hash over the constants within it.  A join with the keys
    would be planned by statistics, which records that were written a moment ago do not have.
    """
    wanted = sorted(keys)
    if not wanted:
        return sql.SQL("false").format()
    return sql.SQL("({key} between {lo} and {hi} and {key}::text = any({texts}::text[]))").format(
        key=column, lo=key_literal(wanted[0]), hi=key_literal(wanted[-1]), texts=key_texts(wanted)
    )


def record_between(keys: tuple[int, int]) -> sql.Composed:
    """The condition that the first part of a record's key lies between these, for an index that begins with the key."""
    return sql.SQL("({key} >= {lo} and {key}[1] <= {hi})").format(key=_KEY, lo=key_literal(keys[:1]), hi=keys[1])


def recorded(
    connection: Connection, table: str, entity: str, source: str, where: sql.Composable, at_most: int | None = None
) -> list[Key]:  # fmt: skip
    """The keys of one of our tables' records of the source for which the condition holds, in order."""
    return answer(connection, ask_recorded(table, entity, source, where, at_most))


def ask_recorded(
    table: str, entity: str, source: str, where: sql.Composable, at_most: int | None = None
) -> Question[list[Key]]:
    """As `recorded`, to be asked together with other questions."""
    return Question(
        sql.SQL("select key from {} where entity = {} and source = {} and {} order by key limit {}").format(
            sql.Identifier("hybrid_sync", table), entity, source, where, at_most
        ),
        None,
        lambda found: [tuple(row[0]) for row in found.fetchall()],
    )
