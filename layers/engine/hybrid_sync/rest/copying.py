"""COPY through the REST API, for few rows: into a table as an INSERT, out of a query as its SELECT."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from psycopg import sql

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import TargetUnavailable
from hybrid_sync.pgtypes import PgType, columns_of
from hybrid_sync.postgres import Question
from hybrid_sync.rest.answers import Answers
from hybrid_sync.rest.binary import HEADER, TRAILER, rows_of, text_of
from hybrid_sync.session import Parameters, Statement

_IN = re.compile(r"copy (.+?) (?:\((.+)\) )?from stdin \(format binary\)", re.DOTALL)
_OUT = re.compile(r"copy \((.+)\) to stdout( \(format binary\))?", re.DOTALL)
_INT2, _INT4 = struct.Struct(">h"), struct.Struct(">i")


class Asks(Protocol):
    """A session, as far as it is asked here."""

    def found(self, statements: Sequence[Statement]) -> Answers: ...


class Copied:
    """One COPY: what is written to it, or what it yields."""

    def __init__(self, chunks: Sequence[bytes] = (), rows: Sequence[tuple[str | None, ...]] = ()) -> None:
        self.chunks = list(chunks)
        self._rows = rows

    def write(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def rows(self) -> Iterator[tuple[str | None, ...]]:
        return iter(self._rows)


class Cursor:
    """As psycopg's, for what a session itself does not do."""

    def __init__(self, session: Asks) -> None:
        self._session = session
        self.rowcount = -1

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def executemany(self, query: Any, many: Sequence[Parameters]) -> None:
        """All of them in one message."""
        if many:
            self._session.found([(query, parameters) for parameters in many])

    @contextmanager
    def copy(self, statement: Any) -> Iterator[Copied]:
        """Rows go when all of them are there; those of a query are there at once."""
        text = statement.as_string(None) if isinstance(statement, sql.Composable) else str(statement)
        if out := _OUT.fullmatch(text):
            yield self._read(out[1], binary=bool(out[2]))
        elif into := _IN.fullmatch(text):
            copied = Copied()
            yield copied
            self.rowcount = self._load(Into(into[1], into[2]), b"".join(copied.chunks))
        else:
            raise TargetUnavailable(
                "The REST API does not carry what this step needs.",
                "It is tried again; it goes on once the target lets us in directly.",
            )

    def _read(self, query: str, *, binary: bool) -> Copied:
        if not binary:
            return Copied(rows=self._session.found([(query.encode(), None)]).texts())
        records = sql.SQL("select pg_catalog.record_send(q) from ({}) q").format(_Rendered(query))
        sent = self._session.found([(records, None)])
        chunks = [_as_copied(row[0]) for row in sent.fetchall()]
        return Copied([HEADER + b"".join(chunks[:1]), *chunks[1:], TRAILER])

    def _load(self, into: Into, data: bytes) -> int:
        # The table may be made by a statement that still waits to be sent: both travel in order.
        types: Question[dict[str, PgType]] = columns_of(into.table)
        kinds = types.meaning(self._session.found([(types.query, types.parameters)]).cursor())
        values = as_values(into, kinds, data)
        return self._session.found([(values, None)]).rowcount if values else 0


def _as_copied(record: bytes) -> bytes:
    """A record as the server sends it, as a row of a COPY, which leaves the types out."""
    fields, at = [_INT2.pack(_INT4.unpack_from(record)[0])], 4
    while at < len(record):
        end = at + 8 + max(_INT4.unpack_from(record, at + 4)[0], 0)
        fields.append(record[at + 4 : end])
        at = end
    return b"".join(fields)


@dataclass(frozen=True)
class Into:
    """A COPY's table and columns, as SQL names them; without columns all of them."""

    table: str
    columns: str | None


def as_values(into: Into, types: Mapping[str, PgType], data: bytes) -> sql.Composed | None:
    """The INSERT of a binary COPY's rows; None where there are none.

    Each value is a literal of no type, which the column's own type reads.  StructureMismatch for a type whose binary
    form is not known here.
    """
    names = list(types) if into.columns is None else _unquoted(into.columns)
    kinds = [types[name] for name in names]
    rows = [_values(kinds, fields) for fields in rows_of(data)]
    if not rows:
        return None
    head = sql.SQL("insert into {} ({}) values {}")
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    return head.format(_Rendered(into.table), listed, sql.SQL(", ").join(rows))


def _values(kinds: Sequence[PgType], fields: Sequence[bytes | None]) -> sql.Composed:
    texts = (None if field is None else text_of(kind, field) for kind, field in zip(kinds, fields, strict=True))
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, texts)))


class _Rendered(sql.Composable):
    """SQL that has been composed and rendered before: the name in a COPY of ours."""

    def as_bytes(self, context: Any = None) -> bytes:
        return str(self._obj).encode()


def _unquoted(columns: str) -> list[str]:
    return [name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")+)"', columns)]
