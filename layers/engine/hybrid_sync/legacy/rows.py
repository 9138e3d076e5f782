"""The read: one COPY of binary rows, each as the bytes that PostgreSQL sent."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import Key
from hybrid_sync.legacy.changes import with_keys
from hybrid_sync.postgres import Connection, transaction

_HEADER_BYTES = 19
_TRAILER = b"\xff\xff"


def read(connection: Connection, plan: ReadPlan, where: sql.Composable) -> Generator[bytes, None, None]:
    """The rows under `where`, in key order; each begins with its 16-bit field count.

    Raises psycopg.DataError when an expression of the catalog fails on some row of the range.
    """
    query = sql.SQL("copy ({}) to stdout (format binary)").format(plan.select(where))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        chunks = iter(copy)
        first = bytes(next(chunks))[_HEADER_BYTES:]
        if first and first != _TRAILER:
            yield first
        for chunk in chunks:
            row = bytes(chunk)
            if row != _TRAILER:
                yield row


def keys(connection: Connection, plan: ReadPlan, where: sql.Composable) -> list[Key]:
    """Just the keys under `where`: what isolates a read that fails on some row."""
    query = sql.SQL("select {} from {} where {} order by {}").format(
        sql.SQL(", ").join(sql.SQL("{}::int8").format(e) for e in plan.key_exprs), plan.relations, where,
        sql.SQL(", ").join(plan.key_exprs),
    )  # fmt: skip
    with transaction(connection, "legacy", read_only=True):
        return [tuple(row) for row in connection.execute(query).fetchall()]


@dataclass(frozen=True)
class ReadFailure:
    """A row that legacy itself cannot compute under the catalog's expressions."""

    key: Key
    sqlstate: str


def read_isolated(connection: Connection, plan: ReadPlan, keys: Sequence[Key]) -> Iterator[bytes | ReadFailure]:
    """The rows of `keys`, halving the set until each row that legacy cannot compute stands alone."""
    try:
        with transaction(connection, "legacy", read_only=True):
            found = list(read(connection, plan, with_keys(plan.key_exprs, keys)))
        yield from found
    except psycopg.DataError as error:
        if len(keys) == 1:
            yield ReadFailure(keys[0], error.sqlstate or "22000")
            return
        middle = len(keys) // 2
        yield from read_isolated(connection, plan, keys[:middle])
        yield from read_isolated(connection, plan, keys[middle:])
