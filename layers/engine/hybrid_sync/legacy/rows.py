"""The read: one COPY of binary rows, each as the bytes that PostgreSQL sent."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain

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
    with closing(parts(connection, plan, where, at_most)) as found:
        for part in found:
            yield from part


def parts(
    connection: Connection, plan: ReadPlan, where: sql.Composable, at_most: int | None = None
) -> Generator[list[bytes], None, None]:
    """`read` in lists of rows as they arrive: as many as the connection has taken from the network at once."""
    query = sql.SQL("copy ({}) to stdout (format binary)").format(plan.select(where, at_most))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        yield from _arriving(copy)


def sent(copy: Iterable[Buffer]) -> Iterator[bytes]:
    """The rows of a binary COPY, without its header and its trailer."""
    return chain.from_iterable(_arriving(copy))


def _arriving(copy: Iterable[Buffer]) -> Generator[list[bytes], None, None]:
    chunks = iter(copy)
    first = bytes(next(chunks))[_HEADER_BYTES:]
    if first and first != _TRAILER:
        yield [first]
    for chunk in chunks:
        part = [bytes(chunk)]
        if part[0] != _TRAILER:
            if isinstance(copy, psycopg.Copy):
                _take_arrived(copy.connection.pgconn, part)
            yield part


def _take_arrived(pgconn: PGconn, part: list[bytes]) -> None:
    """Add the rows that have come with the first one: to wait for each of them would take longer than to read it."""
    take, add = pgconn.get_copy_data, part.append
    size, data = take(1)
    while size > len(_TRAILER):
        add(bytes(data))
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
