"""Statements that write a mapped table, tried under a savepoint: a line that the target refuses costs itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql

from hybrid_sync.halve import halve
from hybrid_sync.postgres import Connection, require_row
from hybrid_sync.write.native import write

T = TypeVar("T")


def write_each(
    connection: Connection,
    items: Sequence[T],
    statement: Callable[[Sequence[T]], sql.Composed],
    after: Callable[[Sequence[T]], object] = lambda _: None,
) -> list[tuple[T, psycopg.Error]]:
    """Run the statement for all items, which writes a mapped table, and then `after`; the refused items, with why.

    `after` belongs to the attempt: it looks at what was written and raises Refused, or writes records of ours.
    """

    def attempt(some: Sequence[T]) -> None:
        with connection.transaction():  # a savepoint, whose own transaction id marks these rows
            write(connection, statement(some))
            after(some)

    return halve(items, attempt, lambda error, some: require_row(connection, error, [(statement(some), None)]))
