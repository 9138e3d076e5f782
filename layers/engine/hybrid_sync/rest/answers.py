"""Answers of the REST API as psycopg's cursor gives them, and its errors as psycopg raises them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField, Format

from hybrid_sync.blame import at_raise
from hybrid_sync.session import Row

_RECORD = 2249
_FIELDS = {
    "sqlstate": DiagnosticField.SQLSTATE,
    "message": DiagnosticField.MESSAGE_PRIMARY,
    "detail": DiagnosticField.MESSAGE_DETAIL,
    "hint": DiagnosticField.MESSAGE_HINT,
    "context": DiagnosticField.CONTEXT,
    "column": DiagnosticField.COLUMN_NAME,
    "constraint": DiagnosticField.CONSTRAINT_NAME,
    "type": DiagnosticField.DATATYPE_NAME,
    "table": DiagnosticField.TABLE_NAME,
    "schema": DiagnosticField.SCHEMA_NAME,
    "raised": DiagnosticField.SOURCE_FUNCTION,
}


class Answers:
    """The results of a message's statements in turn, with the values that psycopg makes of the server's texts."""

    def __init__(self, answers: Sequence[Mapping[str, Any]]) -> None:
        self._answers = answers
        self._transformer = Transformer()
        self._at = 0
        self._rows: Iterator[Row] = iter(())
        self._read()

    def cursor(self) -> psycopg.Cursor[Row]:
        """To whoever reads a cursor."""
        return cast("psycopg.Cursor[Row]", self)

    @property
    def connection(self) -> None:
        """There is none: a request is a transaction, so nothing more can be asked in it."""

    @property
    def rowcount(self) -> int:
        return int(self._answers[self._at]["count"])

    @property
    def description(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self._answers[self._at]["names"] or ()]

    def nextset(self) -> bool | None:
        self._at += 1
        return self._read()

    def fetchone(self) -> Row | None:
        return next(self._rows, None)

    def fetchall(self) -> list[Row]:
        return list(self._rows)

    def texts(self) -> list[tuple[str | None, ...]]:
        """The rows as the server writes them."""
        return [self._fields(len(answer["types"]), row) for answer in self._answers for row in answer["rows"]]

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _read(self) -> bool | None:
        if self._at >= len(self._answers):
            self._rows = iter(())
            return None
        answer = self._answers[self._at]
        self._rows = iter([self._loaded(answer["types"], row) for row in answer["rows"]])
        return True

    def _loaded(self, types: Sequence[int], row: str) -> Row:
        return tuple(
            None if field is None else self._transformer.get_loader(kind, Format.TEXT).load(field.encode())
            for kind, field in zip(types, self._fields(len(types), row), strict=True)
        )

    def _fields(self, width: int, row: str) -> tuple[str | None, ...]:
        """A record of one NULL reads like one without fields."""
        found: tuple[str | None, ...] = self._transformer.get_loader(_RECORD, Format.TEXT).load(row.encode())
        return found or (None,) * width


def server_error(said: Mapping[str, Any]) -> psycopg.Error:
    """What the server said of one statement, as psycopg would raise it."""
    context = _own_context(said)
    # libpq names the function of the server's source; from PL/pgSQL it is known by where it arose.
    raised = "exec_stmt_raise" if at_raise((context or "").partition("\n")[0]) else None
    fields = {**said, "context": context, "raised": raised}
    info: dict[int, bytes | None] = {
        int(field): str(fields[name]).encode() for name, field in _FIELDS.items() if fields.get(name)
    }
    state = str(said["sqlstate"])
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.DatabaseError
    error = kind(str(said["message"]), info=info)
    error.sqlstate = state
    return error


def _own_context(said: Mapping[str, Any]) -> str | None:
    """Where within the statement it arose; None where the statement itself is meant, as on a connection of our own."""
    context, statement = str(said.get("context") or ""), str(said.get("statement"))
    inner, found, _ = context.rpartition("hybrid_sync_api.say(")
    if not found:
        return context or None
    # The line, and the one before it, which quotes the statement: in whatever language, and quotes, the server speaks.
    inner = inner[: inner.rfind("\n") + 1]
    before, quoted, behind = inner.rpartition(statement)
    if quoted and len(behind.strip()) <= 1:
        inner = before[: before.rfind("\n") + 1]
    return inner.rstrip("\n") or None
