"""What is compared: a raw COPY | COPY, and the engine's hot path over the same rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from psycopg import sql

from bench.tables import CATALOG
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.ids.mint import minter
from hybrid_sync.keys import decode_key
from hybrid_sync.legacy.rows import read
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.rows.scan import scan
from hybrid_sync.rows.splice import splice
from hybrid_sync.schema.plans import EntityPlan, compile_entity
from hybrid_sync.write.write import Writer, Written

BATCH = 5000
"""Rows in a transaction: the weekly profile's batch."""


@dataclass(frozen=True)
class Measured:
    """Seconds of one round: on the clock, and of this process's own CPU."""

    wall: float
    cpu: float


def measured(work: Callable[[], object]) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Measured(time.perf_counter() - wall, time.process_time() - cpu)


def raw_copy(legacy: Connection, target: Connection) -> None:
    """Bytes from the legacy table into its twin, untouched: the least that any sync can do."""
    with (
        legacy.cursor() as source,
        target.cursor() as sink,
        source.copy("copy dispatch_instruction to stdout (format binary)") as out,
        sink.copy("copy twin from stdin (format binary)") as into,
    ):
        for chunk in out:
            into.write(chunk)


class HotPath:
    """Read, scan, splice, write and journal, in batches of `BATCH` rows; ids come from memory."""

    def __init__(self, legacy: Connection, target: Connection) -> None:
        self._legacy = legacy
        self._target = target
        self._plan: EntityPlan = compile_entity("orders", CATALOG, legacy, target)
        self._mint = minter(b"benchmark", "orders", "instruction")
        mint_patient = minter(b"benchmark", "patients", "patient")
        patients = legacy.execute("select id from dispatch_patient").fetchall()
        ids = mint_patient([(key,) for (key,) in patients])
        self._patients = {key.to_bytes(8, "big"): found for (key,), found in zip(patients, ids, strict=True)}

    def load(self) -> Written:
        """Every row is new to the target."""
        return self._carry({})

    def repeat(self) -> Written:
        """Every row is in the target already, and equal."""
        rows = self._target.execute("select legacy_id, id from orders").fetchall()
        width = self._plan.sources["instruction"].key_widths[0]
        head = width.to_bytes(4, "big")
        return self._carry({head + key.to_bytes(width, "big"): found.bytes for key, found in rows})

    def _carry(self, own: dict[bytes, bytes]) -> Written:
        plan = self._plan.sources["instruction"]
        done = Written()
        # Closed even when a write fails: an unfinished COPY keeps its connection busy for ever.
        with closing(read(self._legacy, plan, sql.SQL("true"))) as rows:
            self._write(plan, rows, own, done)
        return done

    def _write(self, plan: ReadPlan, rows: Iterator[bytes], own: dict[bytes, bytes], done: Written) -> None:
        for chunk in _chunks(rows):
            spliced = splice(
                plan, scan(plan, chunk), own, {("patients", "patient"): self._patients},
                lambda keys: self._mint([decode_key(key) for key in keys]),
            )  # fmt: skip
            with transaction(self._target, "target"):
                writer = Writer(self._target, self._plan.table, plan, "bench", uuid.uuid4())
                writer.prepare()
                done.add(writer.write(spliced.new, spliced.known))


def _chunks(rows: Iterator[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(rows, BATCH)):
        yield chunk
