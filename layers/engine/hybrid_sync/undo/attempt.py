"""One refused line costs that line: an undo is tried on all, and halved until the refused stand alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import psycopg
from psycopg import sql

from hybrid_sync.postgres import require_row
from hybrid_sync.undo.verdict import UNDO, Stage
from hybrid_sync.write.names import constraint_of
from hybrid_sync.write.native import write

Attempt = Callable[[int, int], sql.Composed]
"""The statement that undoes the staged lines first..last and gives them the verdict `done`."""


class Refusal(NamedTuple):
    """What the target said of one line."""

    line: int
    sqlstate: str | None
    constraint: str | None


def lines(first: int, last: int) -> sql.Composed:
    """The condition that a line is one of these, and may be undone."""
    return sql.SQL("u.verdict = 'ours' and u.n between {} and {}").format(sql.Literal(first), sql.Literal(last))


def halve(stage: Stage, attempt: Attempt) -> list[Refusal]:
    connection = stage.connection
    row = connection.execute(sql.SQL("select coalesce(max(n), 0) from {}").format(UNDO)).fetchone()
    waiting = [(1, int(row[0]))] if row and row[0] else []
    refused: list[Refusal] = []
    while waiting:
        first, last = waiting.pop()
        try:
            with connection.transaction():  # a savepoint, whose own transaction id marks these rows
                write(connection, attempt(first, last))
        except psycopg.Error as error:
            require_row(connection, error, [(attempt(first, last), None)])
            if first == last:
                refused.append(Refusal(first, error.sqlstate, constraint_of(connection, error)))
            else:
                middle = (first + last) // 2
                waiting += [(middle + 1, last), (first, middle)]
    return refused


def refuse(stage: Stage, refused: Iterable[Refusal]) -> None:
    for line, sqlstate, constraint in refused:
        stage.connection.execute(
            sql.SQL("update {} set verdict = 'refused', sqlstate = {}, constraint_name = {} where n = {}").format(
                UNDO, sql.Literal(sqlstate), sql.Literal(constraint), sql.Literal(line)
            )
        )
