"""A bad row costs that row: a refused set is halved under savepoints until the bad ones stand alone."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from hybrid_sync.postgres import Connection
from hybrid_sync.rows.scan import Rejected
from hybrid_sync.rows.splice import Spliced
from hybrid_sync.target.write import Writer, Written

_REASONS = {
    "23505": "unique_violation",
    "23514": "check_violation",
    "23502": "not_null_violation",
    "23503": "foreign_key_violation",
    "23P01": "unique_violation",
    "22001": "value_too_long",
    "22003": "numeric_out_of_range",
    "22021": "invalid_encoding",
    "22P05": "bad_text",
    "22P02": "bad_text",
    "22007": "bad_text",
    "22008": "bad_text",
    "22P03": "bad_text",
    "P0001": "trigger_exception",
}


def reason_of(sqlstate: str | None) -> str:
    """The reason code of a row that PostgreSQL refused: by SQLSTATE, never by message."""
    return _REASONS.get(sqlstate or "", "other")


def is_row_error(error: psycopg.Error) -> bool:
    """Whether the error is about the data of some row: classes 22, 23, 44, 54 and what a trigger raises."""
    return (error.sqlstate or "")[:2] in ("22", "23", "44", "54", "P0")


def write_isolated(
    connection: Connection, writer: Writer, new: Sequence[Spliced], known: Sequence[Spliced]
) -> tuple[Written, list[Rejected], list[str]]:
    """Write all rows that the target takes.

    Returns what was written, the rows that were refused with their reasons, and the violated constraints (parallel
    to the refused rows, empty text where there is none).
    """
    if (new and writer.stages_everything) or known:
        writer.prepare()
    done, refused, constraints = Written(), list[Rejected](), list[str]()
    waiting: list[tuple[Sequence[Spliced], Sequence[Spliced]]] = [(new, known)] if new or known else []
    while waiting:
        some_new, some_known = waiting.pop()
        try:
            with connection.transaction():  # a savepoint: the caller's transaction is open
                done.add(writer.write(some_new, some_known))
        except psycopg.Error as error:
            if not is_row_error(error):
                raise
            if len(some_new) + len(some_known) == 1:
                row = (*some_new, *some_known)[0]
                refused.append(Rejected(row.key, reason_of(error.sqlstate), error.diag.column_name, error.sqlstate))
                constraints.append(error.diag.constraint_name or "")
            else:
                waiting += _halves(some_new, some_known)
    return done, refused, constraints


def _halves(new: Sequence[Spliced], known: Sequence[Spliced]) -> list[tuple[Sequence[Spliced], Sequence[Spliced]]]:
    """Two parts, neither empty; the first part is written first (the list is a stack)."""
    if new and known:
        return [([], known), (new, [])]
    rows = new or known
    middle = len(rows) // 2
    first, second = rows[:middle], rows[middle:]
    return [(second, []), (first, [])] if new else [([], second), ([], first)]
