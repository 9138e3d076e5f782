"""Rows leave legacy by binary COPY, keys and references first; Python puts 16 bytes in the place of each 4.

Random ids, one dict of them for each table, no journal, no retry, no check: what a client has to spend at least.
"""

from __future__ import annotations

import os
import queue
import struct
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from bench.peers.begin import asked, done, go
from bench.peers.copy_job import build
from bench.peers.tables import NUMBER, TABLES, Table

ROWS = 20_000
"""In a batch."""
_HEAD, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_NULL, _UUID, _BIGINT = b"\xff\xff\xff\xff", b"\0\0\0\x10", b"\0\0\0\x08\0\0\0\0"
_MAP_ROW = b"\0\x03\0\0\0\x02"
Batch = tuple[Table, bytes, bytes]
"""A table, rows of it, rows of the id map."""


class Writers:
    """Threads with a connection each; `wait` until all that was given is written."""

    def __init__(self, target: str, count: int) -> None:
        self._target = target
        self._batches: queue.Queue[Batch | None] = queue.Queue(maxsize=4)
        self._failed: list[psycopg.Error] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def give(self, batch: Batch) -> None:
        self._batches.put(batch)
        self._require()

    def wait(self) -> None:
        self._batches.join()
        self._require()

    def end(self) -> None:
        for _ in self._threads:
            self._batches.put(None)
        for thread in self._threads:
            thread.join()

    def _require(self) -> None:
        if self._failed:
            raise self._failed[0]

    def _work(self) -> None:
        with psycopg.connect(self._target) as target:
            while (batch := self._batches.get()) is not None:
                try:
                    if not self._failed:
                        _write(target, *batch)
                except psycopg.Error as error:
                    self._failed.append(error)
                finally:
                    self._batches.task_done()


def _write(target: psycopg.Connection[Any], table: Table, rows: bytes, ids: bytes) -> None:
    names = ("id", "legacy_id", *(column.name for column in (*table.references, *table.values)))
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    into_table = sql.SQL("copy {} ({}) from stdin (format binary)").format(sql.Identifier(table.name), columns)
    for into, body in ((sql.SQL("copy id_map from stdin (format binary)"), ids), (into_table, rows)):
        with target.cursor().copy(into) as copy:
            for part in (_HEAD, body, _END):
                copy.write(part)
    target.commit()


def carry(legacy: psycopg.Connection[Any], table: Table, known: dict[str, dict[bytes, bytes]], to: Writers) -> None:
    """One table; `known` are the ids of all before it."""
    own = known.setdefault(table.name, {})
    parents = [known[column.to] for column in table.references]
    fields = struct.pack(">h", 2 + len(table.columns)) + _UUID
    map_row = _MAP_ROW + struct.pack(">h", NUMBER[table.name]) + b"\0\0\0\x04"
    for batch in _batches(legacy, table):
        rows, ids = [], []
        for row, new in zip(batch, _random_ids(len(batch)), strict=False):
            key = row[6:10]
            own[key] = new
            ids.append(map_row + key + _UUID + new)
            at, parts = 10, [fields, new, _BIGINT, key]
            for parent in parents:
                if row[at : at + 4] == _NULL:
                    parts.append(_NULL)
                    at += 4
                else:
                    parts += (_UUID, parent[row[at + 4 : at + 8]])
                    at += 8
            parts.append(row[at:])
            rows.append(b"".join(parts))
        to.give((table, b"".join(rows), b"".join(ids)))
    to.wait()


def _batches(legacy: psycopg.Connection[Any], table: Table) -> Iterator[list[bytes]]:
    columns = ", ".join(("r.id", *(column.in_sql() for column in (*table.references, *table.values))))
    batch: list[bytes] = []
    with legacy.cursor().copy(
        f"copy (select {columns} from {table.name} r) to stdout (format binary)".encode()
    ) as copy:
        for n, chunk in enumerate(copy):
            row = bytes(chunk) if n else bytes(chunk)[len(_HEAD) :]
            if len(row) > len(_END):
                batch.append(row)
            if len(batch) == ROWS:
                yield batch
                batch = []
    if batch:
        yield batch


def _random_ids(count: int) -> Iterator[bytes]:
    """Version 4."""
    drawn = bytearray(os.urandom(16 * count))
    drawn[6::16] = bytes(byte & 15 | 64 for byte in drawn[6::16])
    drawn[8::16] = bytes(byte & 63 | 128 for byte in drawn[8::16])
    made = bytes(drawn)
    return (made[at : at + 16] for at in range(0, 16 * count, 16))


def main() -> None:
    order = asked()
    go()
    writers, known = Writers(order["target"], order["writers"]), {}
    with psycopg.connect(order["legacy"]) as legacy:
        for table in TABLES:
            carry(legacy, table, known, writers)
    writers.end()
    for statements in order["then"]:
        build(order["target"], statements)
    done()


if __name__ == "__main__":
    main()
