"""One refused item costs that item: a set is tried as a whole, and halved until the refused ones stand alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql

from hybrid_sync.postgres import Connection, Parameters, require_row
from hybrid_sync.write.native import write

T = TypeVar("T")
Statement = tuple[sql.Composed, Parameters]
"""One without parameters writes a mapped table, so its triggers run under their own path: see `native`."""


class Refused(Exception):
    """What an attempt itself finds wrong with its items, under a code of ours where the server raised none."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def halve(
    connection: Connection,
    items: Sequence[T],
    statements: Callable[[Sequence[T]], Sequence[Statement]],
    check: Callable[[Sequence[T]], None] = lambda _: None,
) -> list[tuple[T, psycopg.Error | Refused]]:
    """Run the statements of all items under savepoints of the caller's transaction; the refused items, with why.

    `check` looks at what was written and raises Refused.  Errors that no item is to blame for pass through.
    """
    refused: list[tuple[T, psycopg.Error | Refused]] = []
    waiting = [list(items)] if items else []
    while waiting:
        some = waiting.pop()
        todo = statements(some)
        try:
            with connection.transaction():
                for statement, parameters in todo:
                    if parameters is None:
                        write(connection, statement)
                    else:
                        connection.execute(statement, parameters)
                check(some)
        except (psycopg.Error, Refused) as error:
            if isinstance(error, psycopg.Error):
                require_row(connection, error, todo)
            if len(some) == 1:
                refused.append((some[0], error))
            else:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
    return refused
