"""Key buckets: 500 consecutive legacy integers, from one end of bigint to the other without an overflow."""

from __future__ import annotations

from psycopg import sql

BUCKET = 500
"""Consecutive legacy integers in one lock bucket and one id-map page; 1,000 and 5,000 are whole numbers of it."""

LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""The ends of bigint."""


def bucket_of(key: sql.Composable) -> sql.Composed:
    """The bucket number of the first key column: floor division, for negative integers too."""
    # Subtracting before dividing would leave bigint at its lower end.
    return sql.SQL("({k}::int8 / {b} - ({k}::int8 % {b} < 0)::int)").format(k=key, b=sql.Literal(BUCKET))


def place_of(key: sql.Composable) -> sql.Composed:
    """The key's place in its bucket, from 0: the first key of the lowest bucket is no bigint, so nothing is
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


def span(lo: int, hi: int) -> tuple[int, int]:
    """The first and the last key of the buckets `lo` to before `hi`, both within bigint."""
    return max(lo * BUCKET, LOWEST), min(hi * BUCKET - 1, HIGHEST)
