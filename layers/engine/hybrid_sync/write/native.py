"""Statements that write mapped tables: parsed under our search_path, while the target's triggers run under its own.

PostgreSQL looks operators up by search_path too, also in IN, `= any`, CASE and USING, so only a path without foreign
schemas keeps the meaning of our statements (https://www.postgresql.org/docs/current/ddl-schemas.html).  Triggers were
written for the path that the database gives, on Supabase one with `extensions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, LiteralString, TypeVar

import psycopg
from psycopg import sql

from hybrid_sync.halve import Refusal, halve
from hybrid_sync.postgres import NATIVE_PATH, OUR_PATH, Connection, require_row, send_all, send_with_next
from hybrid_sync.write.names import named

T = TypeVar("T")

_TO_NATIVES = sql.SQL("select pg_catalog.set_config('search_path', pg_catalog.current_setting({}), true)").format(
    sql.Literal(NATIVE_PATH)
)
AS_NATIVES = sql.SQL("({} offset 0) hybrid_sync_path").format(_TO_NATIVES)
"""An item of a FROM clause, of one row: once it is read, what the statement fires runs under the database's path.

It changes no other part of its statement, which has been parsed by then; OFFSET keeps it from being folded away.
"""


_TO_OURS = sql.SQL("select pg_catalog.set_config('search_path', {}, true)").format(sql.Literal(OUR_PATH))
_PATHS = {"natives": _TO_NATIVES, "ours": _TO_OURS}


def path_after(name: LiteralString, path: Literal["natives", "ours"], part: LiteralString | None) -> sql.Composed:
    """A part `name` of a WITH, of one row, to be read in place of AS_NATIVES: from then on this path holds, once all
    rows of `part` are there.  What computes them may ask for the path, as the text of a regclass does."""
    counted: sql.Composable = sql.SQL("")
    if part is not None:
        counted = sql.SQL(" from (select pg_catalog.count(*) as n from {}) counted where n >= 0").format(
            sql.Identifier(part)
        )
    return sql.SQL("{} as materialized ({}{})").format(sql.Identifier(name), _PATHS[path], counted)


COPYING = sql.SQL("set local search_path to default")
BACK = sql.SQL("set local search_path = {}").format(sql.SQL(OUR_PATH))
BACK_IN_A_BLOCK = sql.SQL("perform pg_catalog.set_config('search_path', {}, true)").format(sql.Literal(OUR_PATH))
"""BACK within PL/pgSQL."""


def write(connection: Connection, statement: sql.Composed) -> psycopg.Cursor[Any]:
    """Run a statement that reads AS_NATIVES, and go back to our path; the cursor is the statement's.

    Where it fails, the savepoint or the transaction that has to be given up takes the path back as well.
    """
    return send_all(connection, [(statement, None), (BACK, None)])


def copying(connection: Connection) -> None:
    """From here to `back` triggers run under the database's path: for a COPY, which has no expression to resolve."""
    send_with_next(connection, COPYING)


def back(connection: Connection) -> None:
    """Set the search_path of our own statements again, with the next message."""
    send_with_next(connection, BACK)


def write_each(
    connection: Connection,
    items: Sequence[T],
    statement: Callable[[Sequence[T]], sql.Composed],
    after: Callable[[Sequence[T]], object] = lambda _: None,
) -> list[Refusal[T]]:
    """Run the statement for all items, which writes a mapped table, and then `after`; the refused items, with why.

    `after` belongs to the attempt: it looks at what was written and raises Refused, or writes records of ours.
    """

    def attempt(some: Sequence[T]) -> None:
        with connection.transaction():  # a savepoint, whose own transaction id marks these rows
            write(connection, statement(some))
            after(some)

    refused = halve(items, attempt, lambda error, some: require_row(connection, error, [(statement(some), None)]))
    return named(connection, refused)
