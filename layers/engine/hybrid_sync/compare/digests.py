"""Whether two servers hold the same rows: sums over what PostgreSQL would send of each row, in 128 bits.

A row's bytes are hashed twice, to 64 bits each, under two seeds that are drawn for each comparison, and both hashes are
added up: what differs has equal sums with a probability of 2^-128, and what one look should miss the next one sees.
A sum does not cancel equal rows out as an exclusive or does.  PostgreSQL's hash of bytes has been the same since its
version 11; a server of the other byte order has another one, so that all sums differ, and whoever compares them goes
on to look key by key, by md5.

Rows of integers alone, as keys and references are, are hashed number into number instead, of which no bytes have to be
put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import randbits

from psycopg import sql

from hybrid_sync.dataclass import dataclass

Seeds = tuple[int, int]
"""Of the two hashes: any numbers of 64 bits."""
UNSENT = sql.SQL("'{\"\"}'::bytea[]")
"""The bytes of no row: even a record without a column sends how many it has."""


def draw() -> Seeds:
    """Two seeds for one comparison; each comparison draws new ones, so that what one misses the next one sees."""
    return randbits(63), randbits(63)


def sent(values: Sequence[sql.Composable]) -> sql.Composed:
    """The bytes of a row, as an array of one: PostgreSQL before 18 has no function that hashes bytes by themselves."""
    return sql.SQL("array[record_send(row({}))]").format(sql.SQL(", ").join(values))


def sums(rows: sql.Composable, seeds: Seeds) -> list[sql.Composed]:
    """Both, over an aggregate's rows; NULL where there is none."""
    return [sql.SQL("sum(hash_array_extended({}, {}))").format(rows, sql.Literal(seed)) for seed in seeds]


def under(name: str, both: Sequence[sql.Composable]) -> list[sql.Composed]:
    """Both sums, each under this name and its number."""
    return [sql.SQL("{} as {}").format(one, sql.Identifier(f"{name}{i}")) for i, one in enumerate(both)]


Number = tuple[sql.Composable | None, sql.Composable]
"""An integer that may be NULL, behind another one of two bytes where one stands before it."""


@dataclass(frozen=True)
class Row:
    """What of a row is compared, in a pass that reads rows and then adds them up by group."""

    values: tuple[sql.Composable, ...]
    numbers: tuple[Number, ...] = ()
    """The same, where all of them are integers; the first is part of the key, and never NULL."""
    unsent: sql.Composable | None = None
    """The condition that the row must equal no other; None where it never does."""

    def named(self, condition: sql.Composable) -> list[sql.Composed]:
        """The columns that `added_up` needs, of rows that meet the condition; nothing is computed of the others."""
        if not self.numbers:
            row = sent(self.values)
            if self.unsent is not None:
                row = sql.SQL("case when {} then {} else {} end").format(self.unsent, UNSENT, row)
            return [sql.SQL("case when {} then {} end as d").format(condition, row)]
        numbers = list(self.numbers)
        if self.unsent is not None:  # what must equal no other row is added up as one without a key, which none is
            numbers[0] = None, sql.SQL("case when not ({}) then {} end").format(self.unsent, numbers[0][1])
        return [
            sql.SQL("case when {} then {} end as {}").format(condition, half, name)
            for i, number in enumerate(numbers)
            for half, name in zip(_halves(*number), _names(i), strict=True)
        ]

    def added_up(self, seeds: Seeds) -> list[sql.Composed]:
        """Both sums over the rows of a group that met the condition, as d0 and d1."""
        if not self.numbers:
            return under("d", sums(sql.Identifier("d"), seeds))
        names = [_names(i) for i in range(len(self.numbers))]
        return under("d", [sql.SQL("sum({})").format(_number_into_number(names, seed)) for seed in seeds])


def _names(i: int) -> tuple[sql.Identifier, sql.Identifier]:
    return sql.Identifier(f"d_{i}"), sql.Identifier(f"e_{i}")


def _halves(small: sql.Composable | None, value: sql.Composable) -> tuple[sql.Composable, sql.Composable]:
    """A number as two that are not NULL: no two numbers have both in common.

    PostgreSQL folds both halves of a bigint into 32 bits before it hashes them, so the upper 33 bits go apart; in three
    bits above them NULL is what they never are, and above those is the small number.
    """
    upper = sql.SQL("coalesce({} >> 31, 1::bigint << 33)").format(value)
    if small is not None:
        upper = sql.SQL("{} # (coalesce({}, -2)::bigint << 36)").format(upper, small)
    return sql.SQL("coalesce({}, 0)").format(value), upper


def _number_into_number(numbers: Sequence[tuple[sql.Identifier, sql.Identifier]], seed: int) -> sql.Composable:
    """The hash of the last number, its upper part and the hash of the number before it as its seed, and so on."""
    found: sql.Composable = sql.SQL("{}::bigint").format(sql.Literal(seed))
    for value, upper in numbers:
        found = sql.SQL("hashint8extended({}, {} # {})").format(value, found, upper)
    return found


def text(both: Sequence[sql.Composable]) -> sql.Composed:
    """Both sums as one text."""
    return sql.SQL(" || '/' || ").join(sql.SQL("({})::text").format(one) for one in both)


def of_one(row: sql.Composable) -> sql.Composed:
    """Of one row, the same whichever server computes it, and whenever."""
    return sql.SQL("md5(({})[1])").format(row)
