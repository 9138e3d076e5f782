"""Sync batch: lock, read, map ids, check, stage, journal and write, commit; then cache ids and queue failures.

One batch is one target transaction, so it can be delivered twice, late, or again after a crash.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import BatchResult, BatchTask, Key
from hybrid_sync.errors import TargetUnavailable
from hybrid_sync.failpoints import failpoint
from hybrid_sync.failures.quarantine import take_unqueued
from hybrid_sync.ids.idmap import ids_in_target
from hybrid_sync.legacy import changes, fence, rows
from hybrid_sync.legacy.buckets import span
from hybrid_sync.legacy.unreadable import read_isolated
from hybrid_sync.postgres import Connection, is_row_state, transaction
from hybrid_sync.rows.scan import Rejected, Scanned, decode_key, scan
from hybrid_sync.rows.splice import SplicedBatch
from hybrid_sync.runs.store import read_entity, read_run
from hybrid_sync.steps.map_ids import BatchIds
from hybrid_sync.target.batches import (
    FailedRow,
    batch_id,
    begin_batch,
    drop_settled_links,
    finish_batch,
    lock_buckets,
    open_failures,
    record_failed,
    record_pending_links,
    require_free,
    require_running,
    resolve_failed,
)  # fmt: skip
from hybrid_sync.target.isolate import unreadable_reason, write_isolated
from hybrid_sync.target.plans import EntityPlan, plan_for
from hybrid_sync.target.tombstones import revive
from hybrid_sync.target.write import Writer, Written
from hybrid_sync.verify.findings import keys_to_heal
from hybrid_sync.world import World


def sync_batch(world: World, task: BatchTask) -> BatchResult:
    """Carry one key range over; safe to repeat, and safe beside any other batch or run.

    Raises a transient SyncError when a database is away or busy, a permanent one when the run has ended, the entity
    is held or the structure does not fit.  Bad rows are not errors: they become failed records.
    """
    try:
        return _once(world, task)
    except TargetUnavailable:
        # The commit may have arrived before the connection broke: asking again finds batch_done, or does the work.
        return _once(world, task)


def _once(world: World, task: BatchTask) -> BatchResult:
    with world.connect_legacy() as legacy, world.connect_target() as target:
        plan = plan_for(task.run_id, task.entity, world.catalog, legacy, target)
        with transaction(target, "target"):
            batch = _Batch(world, task, plan, legacy, target)
            result = batch.run()
            failpoint("batch.before_commit", target, legacy)
        failpoint("batch.committed", target, legacy)
        batch.ids.remember()
        failpoint("batch.cached", target, legacy)
        _queue_failures(world, task, target)
        return result


def _queue_failures(world: World, task: BatchTask, target: Connection) -> None:
    # Marked and sent in one transaction: a crash between the two sends again, which is harmless, and forgets none.
    with transaction(target, "target"):
        messages = take_unqueued(target, task.run_id, task.entity, task.source)
        failpoint("batch.queueing", target)
        world.failure_queue.send(messages)
        failpoint("batch.queue_sent", target)


@dataclass
class _Outcome:
    written: Written
    failed: list[FailedRow]


class _Batch:
    """The state of one batch transaction, from the locks to the record of what it did."""

    def __init__(self, world: World, task: BatchTask, plan: EntityPlan, legacy: Connection, target: Connection) -> None:
        self._world = world
        self._task = task
        self._entity = plan
        self._plan: ReadPlan = plan.sources[task.source]
        self._legacy = legacy
        self._target = target
        self.ids = BatchIds(world, task, plan, legacy, target)

    def run(self) -> BatchResult:
        task, target = self._task, self._target
        began = time.monotonic()
        require_running(target, task.run_id)
        require_free(target, task.entity)
        failpoint("batch.run_checked", target, self._legacy)
        numbers = [n for first, last in task.buckets for n in range(first, last + 1)]
        lock_buckets(target, task.entity, task.source, numbers)
        failpoint("batch.locked", target, self._legacy)
        identity = batch_id(task)
        if (done := begin_batch(target, task, identity)) is not None:
            return done
        failpoint("batch.claimed", target, self._legacy)
        self._run = read_run(target, task.run_id)
        self._waiting = open_failures(target, task.entity, task.source, *span(task.lo, task.hi))
        scanned, unreadable = self._read()
        failpoint("batch.read", target, self._legacy)
        writer = Writer(target, self._entity.table, self._plan, task.run_id, identity)
        outcome, spliced = self._write(writer, scanned)
        failpoint("batch.written", target, self._legacy)
        failed = [*unreadable, *outcome.failed]
        failed += self._revive(writer, scanned, {row.key for row in failed})
        resolved = self._record(scanned, spliced, failed)
        failpoint("batch.recorded", target, self._legacy)
        result = self._result(scanned, outcome.written, failed, resolved)
        finish_batch(target, identity, result, time.monotonic() - began, outcome.written.xids)
        return result

    # --- read ------------------------------------------------------------------------------------------------

    def _read(self) -> tuple[Scanned, list[FailedRow]]:
        """The rows as they are now, after the locks were taken; rows that legacy cannot compute apart."""
        where = self._where()
        try:
            with transaction(self._legacy, "legacy", read_only=True):
                fence.require_same(self._run.fence, fence.identity(self._legacy))
                # Closed at once when the scan fails: an open COPY would keep the connection from ending.
                with closing(rows.read(self._legacy, self._plan, where)) as found:
                    return scan(self._plan, found), []
        except psycopg.Error as error:
            if not is_row_state(error.sqlstate):
                raise
        isolated = read_isolated(self._legacy, self._plan, where)
        scanned = scan(self._plan, isolated.rows)
        scanned.read += len(isolated.unreadable)
        return scanned, [
            FailedRow(key, unreadable_reason(state), sqlstate=state) for key, state in isolated.unreadable.items()
        ]

    def _where(self) -> sql.Composable:
        task = self._task
        source = self._world.catalog[task.entity].sources[task.source]
        if task.keys is not None:
            return changes.with_keys(self._plan.key_exprs, task.keys)
        if task.purpose == "heal":
            return changes.with_keys(self._plan.key_exprs, keys_to_heal(self._target, task))
        record = read_entity(self._target, task.run_id, task.entity)
        assert record.detection is not None, "an entity is planned before its batches run"
        parts: list[sql.Composable] = [changes.in_range(source, task.lo, task.hi)]
        if task.buckets != ((task.lo, task.hi - 1),):
            parts.append(changes.in_buckets(source, task.buckets))
        changed = changes.changed(source, record.detection)
        if source.joins and record.detection.mode != "full":
            # All versions of a changed key: where a join doubles it, the young one must not win by being read alone.
            changed = changes.keys_under(self._plan, sql.SQL(" and ").join([*parts, changed]))
        return sql.SQL(" and ").join([*parts, changed])

    # --- map ids and write -------------------------------------------------------------------------------------

    def _write(self, writer: Writer, scanned: Scanned) -> tuple[_Outcome, SplicedBatch]:
        """Splice and write; a foreign-key violation may be a stale cache, so that is asked again, once."""
        # A wrong entry of the cache may be what made a row differ, so healing asks the target for every parent.
        spliced = self.ids.splice(writer, scanned, fresh=self._task.purpose == "heal")
        failpoint("batch.mapped", self._target, self._legacy)
        outcome = self._try(writer, spliced)
        if any(f.reason == "foreign_key_violation" for f in outcome.failed):
            stale = {f.key for f in outcome.failed if f.reason == "foreign_key_violation"}
            again = Scanned(rows=[row for row in scanned.rows if decode_key(row.key) in stale])
            fresh = self.ids.splice(writer, again, fresh=True)
            repeated = self._try(writer, fresh)
            spliced.pending += fresh.pending
            outcome.written.add(repeated.written)
            kept = [f for f in outcome.failed if f.key not in stale]
            outcome = _Outcome(outcome.written, [*kept, *repeated.failed])
        return outcome, spliced

    def _try(self, writer: Writer, spliced: SplicedBatch) -> _Outcome:
        written, refused = write_isolated(self._target, writer, spliced.new, spliced.known)
        known = {row.key for row in spliced.known}
        failed = [FailedRow(decode_key(r.key), r.reason, r.column, r.sqlstate, r.constraint) for r in refused]
        failed += [_failed(r, known) for r in spliced.rejected]
        for waiting in spliced.waiting:
            entity, source = waiting.parent
            parent = {"entity": entity, "source": source, "key": [waiting.parent_key]}
            failed.append(FailedRow(decode_key(waiting.key), "missing_parent", waiting.column, waits_for=parent))
        return _Outcome(written, failed)

    def _revive(self, writer: Writer, scanned: Scanned, bad: set[Key]) -> list[FailedRow]:
        """Rows that had been marked as deleted are live again once legacy's row has arrived."""
        task = self._task
        arrived = {decode_key(row.key) for row in scanned.rows} - bad
        keys = span(task.lo, task.hi)
        source = self._world.catalog[task.entity].sources[task.source]
        return revive(self._target, self._entity.table, source, self._plan, writer.batch, keys, arrived)

    # --- record --------------------------------------------------------------------------------------------------

    def _record(self, scanned: Scanned, spliced: SplicedBatch, failed: list[FailedRow]) -> int:
        """Quarantine, pending links and what has healed; in the same transaction as the rows."""
        task, target = self._task, self._target
        failed += [_failed(rejected, set()) for rejected in scanned.rejected]
        failed = self._with_presence(failed)
        record_failed(target, task.run_id, task.entity, task.source, failed)
        bad = {row.key for row in failed}
        for key in bad:
            self.ids.found.pop(key, None)
        if any(slot.deferred for slot in self._plan.references):
            read = [decode_key(row.key) for row in scanned.rows]
            drop_settled_links(target, task.entity, task.source, read)
            links = [(decode_key(p.key), p.column, *p.parent, p.parent_key) for p in spliced.pending]
            record_pending_links(
                target, task.run_id, task.entity, task.source, [link for link in links if link[0] not in bad]
            )
        unlinked = {decode_key(p.key) for p in spliced.pending}
        healed = self._healed(scanned, bad)
        named = (target, task.run_id, task.entity, task.source)
        # A row that arrived and still waits for a deferred parent has healed of everything but that.
        waiting = resolve_failed(*named, [key for key in healed if key in unlinked], but="missing_parent")
        return waiting + resolve_failed(*named, [key for key in healed if key not in unlinked])

    def _with_presence(self, failed: list[FailedRow]) -> list[FailedRow]:
        """Say of each failed row whether an older version of it is in the target."""
        if not failed:
            return failed
        task = self._task
        there = ids_in_target(self._target, self._world.catalog, task.entity, task.source, [row.key for row in failed])
        return [replace(f, present=f.key in there) for f in failed]

    def _healed(self, scanned: Scanned, bad: set[Key]) -> list[Key]:
        """Keys with an open failed record that arrived or were excluded now, or that are gone from legacy."""
        if not self._waiting:
            return []
        read = {decode_key(row.key) for row in scanned.rows}
        read |= {decode_key(key) for key in scanned.excluded}
        asked = set(self._task.keys or ())
        return [key for key in self._waiting if key not in bad and (key in read or key in asked)]

    def _result(self, scanned: Scanned, written: Written, failed: list[FailedRow], resolved: int) -> BatchResult:
        retry, heal = self._task.purpose == "retry", self._task.purpose == "heal"
        return BatchResult(
            read=0 if retry or heal else scanned.read, retried=scanned.read if retry else 0, inserted=written.inserted,
            updated=written.updated, unchanged=written.unchanged, failed=len(failed),
            excluded=len(scanned.excluded), resolved=resolved,
            healed=written.inserted + written.updated if heal else 0,
        )  # fmt: skip


def _failed(rejected: Rejected, known: set[bytes]) -> FailedRow:
    return FailedRow(
        decode_key(rejected.key),
        rejected.reason,
        rejected.column,
        rejected.sqlstate,
        present=rejected.key in known,
        rows=rejected.rows,
    )
