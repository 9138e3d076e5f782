"""Two servers' rows side by side, in key order: yields the differing keys, and holds nothing else.

A worker's memory so depends on how much differs, and not on how much there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from psycopg import sql

from hybrid_sync.blame import rows_of
from hybrid_sync.contracts import Key
from hybrid_sync.keys import key_of_texts
from hybrid_sync.postgres import Connection

Line = tuple[Key, str]
"""A key, and what is compared of its row."""
Where = Literal["ours", "theirs", "both"]


@contextmanager
def lines(connection: Connection, query: sql.Composable, parts: int) -> Iterator[Iterator[Line]]:
    """The query's rows by its first `parts` columns, a key of integers; a further column is compared as text.

    To be read within: the connection serves nothing else meanwhile.
    """
    order = sql.SQL(", ").join(sql.Literal(i + 1) for i in range(parts))
    statement = sql.SQL("copy (select * from ({}) s order by {}) to stdout").format(query, order)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield ((key_of_texts(row[:parts]), "".join(row[parts:])) for row in rows_of(copy))


def differing_lines(ours: Iterator[Line], theirs: Iterator[Line]) -> Iterator[tuple[Key, Where]]:
    """Keys that only one of two ascending streams has, or for which their rows differ; each once, in order.

    A key that one side repeats must be repeated by the other.
    """
    last: Key | None = None
    for key, where in _differing_lines(ours, theirs):
        if key != last:
            yield key, where
        last = key


def _differing_lines(ours: Iterator[Line], theirs: Iterator[Line]) -> Iterator[tuple[Key, Where]]:
    left, right = next(ours, None), next(theirs, None)
    while left is not None and right is not None:
        if left[0] < right[0]:
            yield left[0], "ours"
            left = next(ours, None)
        elif right[0] < left[0]:
            yield right[0], "theirs"
            right = next(theirs, None)
        else:
            if left[1] != right[1]:
                yield left[0], "both"
            left, right = next(ours, None), next(theirs, None)
    while left is not None:
        yield left[0], "ours"
        left = next(ours, None)
    while right is not None:
        yield right[0], "theirs"
        right = next(theirs, None)
