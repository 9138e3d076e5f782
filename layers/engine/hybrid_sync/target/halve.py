"""One refused item costs that item: a set is tried as a whole, and halved until the refused ones stand alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from hybrid_sync.postgres import Connection, is_row_state

T = TypeVar("T")


def halve(
    connection: Connection, items: Sequence[T], attempt: Callable[[Sequence[T]], None]
) -> list[tuple[T, psycopg.Error]]:
    """Attempt all items under savepoints of the caller's transaction; those that the server refuses, with its error.

    Errors that are not about a row's data pass through.
    """
    refused: list[tuple[T, psycopg.Error]] = []
    waiting = [list(items)] if items else []
    while waiting:
        some = waiting.pop()
        try:
            with connection.transaction():
                attempt(some)
        except psycopg.Error as error:
            if not is_row_state(error.sqlstate):
                raise
            if len(some) == 1:
                refused.append((some[0], error))
            else:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
    return refused
