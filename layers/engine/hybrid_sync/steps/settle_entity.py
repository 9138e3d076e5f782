"""Settle entity: one transaction that locks, reads again and writes rows whose unique values move among them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import field

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import BatchResult, BatchTask, Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.deletes import candidates as deletes
from hybrid_sync.failpoints import failpoint
from hybrid_sync.halve import halve
from hybrid_sync.keys import bucket_number, bucket_numbers, decode_key, one_of
from hybrid_sync.legacy import fence, rows
from hybrid_sync.legacy.unreadable import ask
from hybrid_sync.postgres import Connection, answer, snapshot, transaction
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.rows.scan import Scanned, scan
from hybrid_sync.rows.splice import SplicedBatch
from hybrid_sync.runs.store import RunRecord, read_entity
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.steps.map_ids import BatchIds, cached, through_cache
from hybrid_sync.steps.plans import ask_current, plan_of
from hybrid_sync.world import World
from hybrid_sync.write.batches import (
    Outcome,
    cache_epochs,
    lock_buckets,
    record_outcome,
    require_free,
    require_running,
)
from hybrid_sync.write.isolate import ALTERED, reason_of
from hybrid_sync.write.journal import Batch
from hybrid_sync.write.kept_out import REASONS, record_settled
from hybrid_sync.write.settlement import Settled, Settlement, SourceKey

_PAGE = 1_000
"""Rows that are in memory at once; all versions of a key are in one page."""


class Grown(Exception):
    """Rows that are not locked have what is wanted: everything is undone, to begin anew with them."""

    def __init__(self, places: set[SourceKey]) -> None:
        super().__init__()
        self.places = places


@dataclass
class SettledEntity:
    """What was settled: rows written, and which of them are new."""

    rows: int = 0
    inserted: set[SourceKey] = field(default_factory=set)


def settle_entity(
    world: World, run: RunRecord, name: str, asked: Mapping[str, Collection[Key]],
    wanted: Mapping[str, Collection[Key]], legacy: Connection, target: Connection, *, last: bool,
) -> SettledEntity:  # fmt: skip
    """Write what can be written of the wanted rows; what was `asked` has failed records, which end where it arrives.

    Raises Grown, unless it is the last round.
    """
    plan = plan_of(world, run.run_id, name, legacy, target)
    with transaction(target, "target"):
        settling = _Settling(world, run, name, plan, asked, wanted, legacy, target)
        done = settling.run(last=last)
        failpoint("settle.before_commit", target, legacy)
    failpoint("settle.committed", target, legacy)
    settling.remember()
    return done


@dataclass
class _Read:
    """What legacy says of the wanted rows of one source."""

    found: set[Key] = field(default_factory=set)
    excluded: set[Key] = field(default_factory=set)
    unreadable: set[Key] = field(default_factory=set)
    spliced: SplicedBatch = field(default_factory=SplicedBatch)
    """Without the rows themselves: those are staged."""


class _Settling:
    def __init__(
        self, world: World, run: RunRecord, name: str, plan: EntityPlan, asked: Mapping[str, Collection[Key]],
        wanted: Mapping[str, Collection[Key]], legacy: Connection, target: Connection,
    ) -> None:  # fmt: skip
        self._world = world
        self._run = run
        self._name = name
        self._entity = world.catalog[name]
        self._plan = plan
        self._asked = asked
        self._wanted = {source: sorted(keys) for source, keys in sorted(wanted.items()) if keys}
        self._legacy = legacy
        self._target = target
        self._batch = uuid.uuid4()
        self._new: set[SourceKey] = set()
        self._ids: dict[str, BatchIds] = {}

    def run(self, *, last: bool) -> SettledEntity:
        began = time.monotonic()
        require_running(self._target, self._run.run_id)
        require_free(self._target, self._name)
        for source, keys in self._wanted.items():
            lock_buckets(self._target, self._name, source, bucket_numbers(keys))
        answer(self._target, ask_current(self._world, self._name, self._plan))
        failpoint("settle.locked", self._target, self._legacy)
        settlement = Settlement(self._target, self._plan.table, self._plan.sources, self._run.run_id, self._batch)
        read = self._read(settlement)
        failpoint("settle.staged", self._target, self._legacy)
        more = settlement.outsiders(self._entity.sources) - self._places()
        if more and not last:
            raise Grown(more)
        settled = self._written(settlement)
        failpoint("settle.written", self._target, self._legacy)
        self._record(read, settled, time.monotonic() - began)
        written = settled.written
        return SettledEntity(written.inserted + written.updated, self._new & settled.arrived)

    def _written(self, settlement: Settlement) -> Settled:
        if not self._plan.table.writes_beside:
            return settlement.write()
        from hybrid_sync.write.around import Around  # only where a write may set off others

        around = Around(self._target, self._world.catalog, self._entity.target)
        settled = settlement.write()
        around.record(self._run.run_id, self._batch, settled.written.inserted + settled.written.updated)
        return settled

    def remember(self) -> None:
        """Cache the ids of what was written; only after the commit."""
        for ids in self._ids.values():
            ids.remember()

    def _places(self) -> set[SourceKey]:
        return {(source, key) for source, keys in self._wanted.items() for key in keys}

    # --- read ------------------------------------------------------------------------------------------------------

    def _read(self, settlement: Settlement) -> dict[str, _Read]:
        """Stage all rows as one moment of legacy has them: of two moments a value could be in both rows, or in none."""
        found: dict[str, _Read] = {}
        with self._world.connect_legacy() as reader:
            fence.keep_to(reader, self._run.fence)
            with snapshot(reader, "legacy"):
                for source, keys in self._wanted.items():
                    read = found[source] = _Read()
                    self._read_source(settlement, source, keys, read, reader)
        return found

    def _read_source(
        self, settlement: Settlement, source: str, keys: Sequence[Key], read: _Read, reader: Connection
    ) -> None:
        ids = self._ids[source] = BatchIds(
            self._world, self._task(source, keys), self._plan, self._legacy, self._target,
            through_cache(self._world, cache_epochs(self._target, cached(self._plan.sources[source]))),
        )  # fmt: skip
        for page in (keys[at : at + _PAGE] for at in range(0, len(keys), _PAGE)):
            for scanned in _scanned(reader, self._plan.sources[source], page, read.unreadable):
                self._stage(settlement, source, ids, scanned, read)
                failpoint("settle.page", self._target, self._legacy)

    def _stage(self, settlement: Settlement, source: str, ids: BatchIds, scanned: Scanned, read: _Read) -> None:
        spliced = ids.splice(settlement.writer, scanned, fresh=True)
        settlement.stage(source, spliced)
        read.found.update(scanned.rows.decoded)
        read.found |= {row.key for row in scanned.rejected}
        read.excluded |= {decode_key(key) for key in scanned.excluded}
        read.spliced.pending += spliced.pending
        self._new |= {(source, decode_key(key)) for key in spliced.new.keys}

    def _task(self, source: str, keys: Sequence[Key]) -> BatchTask:
        return BatchTask(
            run_id=self._run.run_id, entity=self._name, source=source, lo=bucket_number(keys[0]),
            hi=bucket_number(keys[-1]) + 1, buckets=(), purpose="retry",
        )  # fmt: skip

    # --- record ----------------------------------------------------------------------------------------------------

    def _record(self, read: Mapping[str, _Read], settled: Settled, seconds: float) -> None:
        """Failed records that have ended or have another reason now, and what was written; with the rows themselves."""
        resolved = 0
        for source, keys in self._wanted.items():
            arrived = {key for place, key in settled.arrived if place == source}
            failed = self._failed(source, settled) + self._revive(source, arrived)
            arrived -= {row.key for row in failed}
            self._forget(source, settled)
            outcome = self._outcome(source, keys, read[source], arrived, failed)
            resolved += record_outcome(self._target, self._run.run_id, self._name, source, outcome)
            self._list_departed(source, keys, read[source])
        written = settled.written
        if written.inserted or written.updated or resolved:
            result = BatchResult(
                inserted=written.inserted, updated=written.updated, unchanged=written.unchanged, resolved=resolved
            )
            first = next(iter(self._wanted))
            record_settled(
                self._target, self._run.run_id, self._name, first, self._wanted[first], self._batch, result,
                written.xids, seconds,
            )  # fmt: skip

    def _failed(self, source: str, settled: Settled) -> list[FailedRow]:
        """Rows with a failed record that something else keeps out by now; what a unique value does is known already."""
        found: list[FailedRow] = []
        for (place, key), refusal in settled.refused.items():
            reason = reason_of(refusal.sqlstate)
            recorded = reason in REASONS or (key not in self._asked.get(source, ()) and reason != ALTERED)
            if place == source and not recorded:
                present = (source, key) not in self._new or reason == ALTERED
                found.append(
                    FailedRow(key, reason, refusal.column, refusal.sqlstate, refusal.constraint, present=present)
                )
        return found

    def _revive(self, source: str, arrived: set[Key]) -> list[FailedRow]:
        if not arrived:
            return []
        from hybrid_sync.write.revive import revive  # where rows are marked

        lo, hi = min(arrived)[0], max(arrived)[0] + 1
        batch = Batch(self._run.run_id, self._batch, self._name, source)
        return revive(
            self._target, self._plan.table, self._entity.sources[source], self._plan.sources[source], batch, (lo, hi),
            arrived,
        )  # fmt: skip

    def _list_departed(self, source: str, keys: Sequence[Key], read: _Read) -> None:
        """Rows that have a wanted value and are gone from legacy: a run of a few rows would not find them by itself."""
        record = read_entity(self._target, self._run.run_id, self._name)
        if record.requested is None or self._entity.on_delete.policy == "ignore":
            return
        departed = set(keys).difference(self._asked.get(source, ()), read.found, read.unreadable)
        deletes.list_candidates(self._target, self._run.run_id, self._name, source, sorted(departed))

    def _forget(self, source: str, settled: Settled) -> None:
        """Ids of rows that were not written must not be cached."""
        for key in list(self._ids[source].found):
            if (source, key) in settled.refused:
                del self._ids[source].found[key]

    def _outcome(
        self, source: str, keys: Sequence[Key], read: _Read, arrived: set[Key], failed: list[FailedRow]
    ) -> Outcome:
        asked = set(self._asked.get(source, ()))
        gone = asked.intersection(keys) - read.found - read.excluded - read.unreadable
        pending = read.spliced.pending
        outcome = Outcome(failed, ended=arrived | gone | (asked & read.excluded))
        outcome.unlinked = {decode_key(p.key) for p in pending}
        if any(slot.deferred for slot in self._plan.sources[source].references):
            links = [(decode_key(p.key), p.column, *p.parent, p.parent_key) for p in pending]
            outcome.read, outcome.links = arrived, [link for link in links if link[0] in arrived]
        return outcome


def _scanned(legacy: Connection, plan: ReadPlan, keys: Sequence[Key], unreadable: set[Key]) -> list[Scanned]:
    """The rows of these keys; a row that legacy cannot compute is left out, and recorded."""
    found: list[Scanned] = []

    def read(some: Sequence[Key]) -> None:
        # A savepoint: the snapshot outlives a row that fails. The COPY is closed at once when the scan fails.
        with legacy.transaction(), closing(rows.read(legacy, plan, one_of(plan.key_exprs, some))) as copied:
            found.append(scan(plan, copied))

    unreadable.update(r.item for r in halve(keys, read, lambda error, _: ask(legacy, plan, error)))
    return found
