"""Whether two servers hold the same rows: sums over what PostgreSQL would send of each row, in 128 bits.

A row's bytes are hashed twice, to 64 bits each, under two seeds that are drawn for each comparison, and both hashes are
added up: what differs has equal sums with a probability of 2^-128, and what one look should miss the next one sees.
A sum does not cancel equal rows out as an exclusive or does.  PostgreSQL's hash of bytes has been the same since its
version 11; a server of the other byte order has another one, so that all sums differ, and whoever compares them goes
on to look key by key, by md5.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import randbits

from psycopg import sql

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


def text(both: Sequence[sql.Composable]) -> sql.Composed:
    """Both sums as one text."""
    return sql.SQL(" || '/' || ").join(sql.SQL("({})::text").format(one) for one in both)


def of_one(row: sql.Composable) -> sql.Composed:
    """Of one row, the same whichever server computes it, and whenever."""
    return sql.SQL("md5(({})[1])").format(row)
