"""The read: one COPY of binary rows, each as the bytes that PostgreSQL sent."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.pq.abc import PGconn

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import Key
from hybrid_sync.keys import key_list
from hybrid_sync.postgres import Connection

_HEADER_BYTES = 19
_TRAILER = b"\xff\xff"


def read(
    connection: Connection, plan: ReadPlan, where: sql.Composable, at_most: int | None = None
) -> Generator[bytes, None, None]:
    """The rows under `where`, in key order; each begins with its 16-bit field count.

    With `at_most` the first so many, and all versions of the last one's key.  Closing it early cancels the read, and
    with it the transaction.  Raises the server's error when an expression of the catalog fails on some row.
    """
    query = sql.SQL("copy ({}) to stdout (format binary)").format(plan.select(where, at_most))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        yield from sent(copy)


def sent(copy: Iterable[Buffer]) -> Generator[bytes, None, None]:
    """The rows of a binary COPY, without its header and its trailer."""
    chunks = iter(copy)
    first = bytes(next(chunks))[_HEADER_BYTES:]
    if first and first != _TRAILER:
        yield first
    for chunk in chunks:
        row = bytes(chunk)
        if row != _TRAILER:
            yield row
            if isinstance(copy, psycopg.Copy):
                yield from _arrived(copy.connection.pgconn)


def _arrived(pgconn: PGconn) -> Generator[bytes, None, None]:
    """The rows that have come with the last one: to wait for each of them would take longer than to read it."""
    take = pgconn.get_copy_data
    size, data = take(1)
    while size > len(_TRAILER):
        yield bytes(data)
        size, data = take(1)
    if size < 0:  # the server has ended the COPY before its trailer, and says why
        result = pgconn.get_result()
        while pgconn.get_result() is not None:
            pass
        assert result is not None, "a COPY that ends has a result"
        raise psycopg.errors.error_from_result(result)


def keys(
    connection: Connection, plan: ReadPlan, where: sql.Composable, at_most: int | None = None
) -> list[Key]:  # fmt: skip
    """Just the keys under `where`, each once and in order, in the caller's transaction."""
    query = sql.SQL("select distinct {} from {} where {} and {} order by {} limit {}").format(
        key_list(plan.key_exprs), plan.relations, plan.keyed, where,
        sql.SQL(", ").join(sql.Literal(i + 1) for i in range(len(plan.key_exprs))), sql.Literal(at_most),
    )  # fmt: skip
    return [tuple(row) for row in connection.execute(query).fetchall()]
