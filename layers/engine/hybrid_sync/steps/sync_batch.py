"""Sync batch: lock, read, map ids, check, stage, journal and write, commit; then cache ids and queue failures.

A batch is a sequence of pages, bounded in rows and in bytes.  A page is one target transaction, and the next begins
behind its last key, so a batch can be delivered twice, late, or again after a crash.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.contracts import BatchResult, BatchTask, Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import Contention, PartMissing, TargetUnavailable
from hybrid_sync.failpoints import failpoint
from hybrid_sync.failures.quarantine import RETRYABLE, take_children, take_unqueued
from hybrid_sync.ids.cache import gone
from hybrid_sync.ids.idmap import Ids, ids_in_target
from hybrid_sync.keys import bucket_number, decode_key, span
from hybrid_sync.legacy.versions import versions
from hybrid_sync.postgres import Connection, answer, say_for_whom, transaction
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.rows.scan import Scanned
from hybrid_sync.rows.splice import SplicedBatch
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.schema.target_structure import table_as_planned
from hybrid_sync.steps.map_ids import BatchIds, cached, through_cache
from hybrid_sync.steps.plans import Outdated, ask_current, plan_of
from hybrid_sync.steps.read_page import PageRead, read_page
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.world import World, both_sides
from hybrid_sync.write.batches import Outcome, open_failures, record_missing
from hybrid_sync.write.isolate import ALTERED, write_isolated
from hybrid_sync.write.pages import (
    Opened,
    PageDone,
    PageStart,
    close_page,
    count_contention,
    is_last_attempt,
    open_page,
    page_id,
)
from hybrid_sync.write.write import Writer, Written


def sync_batch(world: World, task: BatchTask) -> BatchResult:
    """Carry one key range over, page by page; safe to repeat, and safe beside any other batch or run.

    Raises a transient SyncError when a database is away or busy, a permanent one when the run has ended, the entity
    is held or the structure does not fit.  Bad rows are not errors: they become failed records.
    """
    try:
        return _pages(world, task)
    except TargetUnavailable:
        # The commit may have arrived before the connection broke: asking again finds batch_done, or does the work.
        return _pages(world, task)
    except Outdated:
        # People were erased since the plan was made: the plan of now leaves them out.
        return _pages(world, task)


def _pages(world: World, task: BatchTask) -> BatchResult:
    """All pages; those that an earlier delivery has done give their recorded results."""
    total, row_bytes = BatchResult(), 0
    with both_sides(world) as (legacy, target):
        plan = plan_of(world, task.run_id, task.entity, legacy, target)
        start: PageStart | None = PageStart()
        while start is not None:
            try:
                with transaction(target, "target"):
                    say_for_whom(target, task.run_id)
                    page = Page(world, task, start, plan, legacy, target)
                    done = page.run(row_bytes)
            except Outdated:
                raise
            except Contention:
                with transaction(target, "target"):
                    count_contention(target, task, start)
                raise
            failpoint("batch.committed", target, legacy)
            page.remember()
            failpoint("batch.cached", target, legacy)
            if missing := gone(world.id_cache):
                record_missing_part(target, task, missing)
            if page.unqueued:
                queue_failures(world, task, target, page.arrived)
            for one in done:
                total = total.plus(one.result)
            start, row_bytes = done[-1].next(), page.row_bytes
    return total


def queue_failures(world: World, task: BatchTask, target: Connection, arrived: Collection[Key]) -> None:
    """Send messages about failed records that wait for one, or for a row that has arrived; after the commit."""
    # Marked and sent in one transaction: a crash between the two sends again, which is harmless, and forgets none.
    try:
        with transaction(target, "target"):
            names = task.run_id, task.entity, task.source
            messages = [*take_unqueued(target, *names), *take_children(target, *names, arrived)]
            failpoint("batch.queueing", target)
            world.failure_queue.send(messages)
            failpoint("batch.queue_sent", target)
    except PartMissing as missing:  # the records wait in the table, and whoever comes next sends
        record_missing_part(target, task, str(missing))


def record_missing_part(target: Connection, task: BatchTask, sentence: str) -> None:
    """Have the run's report say that a part is gone which a run can do without; once for each entity."""
    with transaction(target, "target"):
        record_missing(target, task.run_id, task.entity, sentence)


@dataclass
class _Rows:
    written: Written
    failed: list[FailedRow]


@dataclass(frozen=True)
class Carried:
    """What a page has done within its transaction, to be recorded in the same."""

    outcome: Outcome
    done: PageDone
    xids: list[int]


class Page:
    """The state of one page's transaction, from the locks to the record of what it did and the commit."""

    def __init__(
        self, world: World, task: BatchTask, start: PageStart, plan: EntityPlan, legacy: Connection, target: Connection
    ) -> None:
        self._world = world
        self._task = task
        self._start = start
        self._entity = plan
        self._plan: ReadPlan = plan.sources[task.source]
        self._legacy = legacy
        self._target = target
        self._ids: BatchIds | None = None
        self.row_bytes = 0
        """What a row of it took, on average."""
        self.unqueued = True
        """Failed records may wait for a message, or for a row of it."""

    def run(self, row_bytes: int) -> list[PageDone]:
        """Do the page, or say what an earlier delivery has done of the batch from here on."""
        task, target, start = self._task, self._target, self._start
        began = time.monotonic()
        opened = open_page(
            target, task, start, self._buckets(), self._keys(None), cached(self._plan),
            first=same_version(self._world, task.run_id, mints=True),
            then=ask_current(self._world, task.entity, self._entity),
        )  # fmt: skip
        failpoint("batch.claimed", target, self._legacy)
        if not isinstance(opened, Opened):
            return opened
        read = read_page(self._world, task, start, self._plan, opened, row_bytes, self._legacy, target)
        failpoint("batch.read", target, self._legacy)
        self.row_bytes = read.row_bytes
        carried = self.carry(opened, read, through_cache(self._world, opened.epochs))
        if task.purpose == "retry":  # nobody verifies it
            answer(target, table_as_planned(self._world.catalog[task.entity], self._entity.table_identity))
        failpoint("batch.before_commit", target, self._legacy)
        page, self.unqueued = close_page(
            target, task, start, carried.outcome, carried.done, time.monotonic() - began, carried.xids, RETRYABLE
        )
        return [page]

    def carry(self, opened: Opened, read: PageRead, known: Ids) -> Carried:
        """Map ids, check, stage, journal and write what was read, under the locks and within the transaction."""
        if not self._entity.table.writes_beside:
            return self._carry(opened, read, known)
        from hybrid_sync.write.around import Around  # only where a write may set off others

        around = Around(self._target, self._world.catalog, self._world.catalog[self._task.entity].target)
        carried = self._carry(opened, read, known)
        done = carried.done.result
        around.record(self._task.run_id, page_id(self._task, self._start), done.inserted + done.updated)
        return carried

    def _carry(self, opened: Opened, read: PageRead, known: Ids) -> Carried:
        task, target, start = self._task, self._target, self._start
        ids = self._ids = BatchIds(self._world, task, self._entity, self._legacy, target, known, retired=opened.retired)
        writer = Writer(target, self._entity.table, self._plan, task.run_id, page_id(task, start))
        written, spliced = self._write(writer, ids, read.scanned)
        failpoint("batch.written", target, self._legacy)
        failed = [*read.unreadable, *written.failed]
        if opened.marked:
            failed += self._revive(writer, read, _absent(failed))
        outcome = self._outcome(read, spliced, failed, opened)
        for row in outcome.failed:
            ids.found.pop(row.key, None)
        failpoint("batch.recorded", target, self._legacy)
        done = PageDone(start.number, self._result(read.scanned, written.written, len(outcome.failed)), read.until)
        return Carried(outcome, done, written.written.xids)

    def remember(self) -> None:
        """Put the rows' own ids where others look them up: into the cache, only after the commit."""
        if self._ids is not None:
            self._ids.remember()

    @property
    def arrived(self) -> Collection[Key]:
        """Keys of its rows that are in the target."""
        return self._ids.found if self._ids is not None else ()

    def _buckets(self) -> list[int]:
        """Those that the page may read from: everything of the batch that is left."""
        first = self._task.lo if self._start.after is None else bucket_number(self._start.after)
        return [n for lo, hi in self._task.buckets for n in range(max(lo, first), hi + 1)]

    def _keys(self, until: Key | None) -> tuple[int, int]:
        """The first and the last integer that a key of the page can begin with."""
        first, last = span(self._task.lo, self._task.hi)
        after = self._start.after
        return first if after is None else after[0], last if until is None else until[0]

    # --- map ids and write -------------------------------------------------------------------------------------

    def _write(self, writer: Writer, ids: BatchIds, scanned: Scanned) -> tuple[_Rows, SplicedBatch]:
        """Splice and write; a foreign-key violation may be a stale cache, so that is asked again, once."""
        # A wrong entry of the cache may be what made a row differ, so healing asks the target for every parent.
        spliced = ids.splice(writer, scanned, fresh=self._task.purpose == "heal")
        failpoint("batch.mapped", self._target, self._legacy)
        outcome = self._try(writer, spliced)
        if any(f.reason == "foreign_key_violation" for f in outcome.failed):
            stale = {f.key for f in outcome.failed if f.reason == "foreign_key_violation"}
            again = Scanned(scanned.rows.where([key in stale for key in scanned.rows.decoded]))
            fresh = ids.splice(writer, again, fresh=True)
            repeated = self._try(writer, fresh)
            spliced.pending += fresh.pending
            outcome.written.add(repeated.written)
            kept = [f for f in outcome.failed if f.key not in stale]
            outcome = _Rows(outcome.written, [*kept, *repeated.failed])
        return outcome, spliced

    def _try(self, writer: Writer, spliced: SplicedBatch) -> _Rows:
        page = writer.batch.batch_id
        written, refused = write_isolated(
            self._target, writer, spliced.new, spliced.known, last=lambda: is_last_attempt(self._target, page)
        )
        failed = refused + spliced.rejected
        for waiting in spliced.waiting:
            entity, source = waiting.parent
            parent = {"entity": entity, "source": source, "key": [waiting.parent_key]}
            failed.append(FailedRow(decode_key(waiting.key), "missing_parent", waiting.column, waits_for=parent))
        return _Rows(written, failed)

    def _revive(self, writer: Writer, read: PageRead, bad: set[Key]) -> list[FailedRow]:
        """Rows that had been marked as deleted are live again once legacy's row has arrived."""
        from hybrid_sync.write.revive import revive  # where rows are marked

        task = self._task
        arrived = set(read.scanned.rows.decoded) - bad
        keys = self._keys(read.until)
        source = self._world.catalog[task.entity].sources[task.source]
        return revive(self._target, self._entity.table, source, self._plan, writer.batch, keys, arrived)

    # --- record --------------------------------------------------------------------------------------------------

    def _outcome(self, read: PageRead, spliced: SplicedBatch, failed: list[FailedRow], opened: Opened) -> Outcome:
        """Quarantine, pending links and what has healed; recorded in the same transaction as the rows."""
        scanned = read.scanned
        failed = self._with_versions(self._with_presence([*failed, *scanned.rejected]))
        not_written = _absent(failed)
        outcome = Outcome(failed, ended=self._healed(read, {row.key for row in failed}, opened))
        if any(slot.deferred or slot.left_empty for slot in self._plan.references):
            links = [(decode_key(p.key), p.column, *p.parent, p.parent_key) for p in spliced.pending]
            outcome.read = scanned.rows.decoded
            outcome.links = [link for link in links if link[0] not in not_written]
        incomplete = {slot.column for slot in self._plan.references if not slot.left_empty}
        outcome.unlinked = {decode_key(p.key) for p in spliced.pending if p.column in incomplete}
        return outcome

    def _with_presence(self, failed: list[FailedRow]) -> list[FailedRow]:
        """Say of each failed row whether an older version of it is in the target."""
        if not failed:
            return failed
        task = self._task
        there = ids_in_target(self._target, self._world.catalog, task.entity, task.source, [row.key for row in failed])
        return [replace(f, present=f.key in there) for f in failed]

    def _with_versions(self, failed: list[FailedRow]) -> list[FailedRow]:
        """Say of each failed row which version of it this is: what a person accepts is one version of a row."""
        source = self._world.catalog[self._task.entity].sources[self._task.source]
        known = versions(self._legacy, self._plan, source, [row.key for row in failed])
        return [replace(row, version=known.get(row.key)) for row in failed]

    def _healed(self, page: PageRead, bad: set[Key], opened: Opened) -> list[Key]:
        """Keys with an open failed record that arrived or were excluded now, or that are gone from legacy."""
        waiting: Collection[Key] | None = opened.waiting
        if waiting is None:
            named, until = (self._target, self._task.entity, self._task.source), page.until
            waiting = open_failures(*named, self._keys(until), self._start.after, until)
        if not waiting:
            return []
        read = set(page.scanned.rows.decoded)
        read |= {decode_key(key) for key in page.scanned.excluded}
        return [key for key in waiting if key not in bad and (key in read or key in page.asked)]

    def _result(self, scanned: Scanned, written: Written, failed: int) -> BatchResult:
        retry, heal = self._task.purpose == "retry", self._task.purpose == "heal"
        return BatchResult(
            read=0 if retry or heal else scanned.read, retried=scanned.read if retry else 0, inserted=written.inserted,
            updated=written.updated, unchanged=written.unchanged, failed=failed,
            excluded=len(scanned.excluded),
            healed=written.inserted + written.updated if heal else 0,
        )  # fmt: skip


def _absent(failed: Sequence[FailedRow]) -> set[Key]:
    """Keys of rows that were not written: those that a trigger has altered are there, and differ."""
    return {row.key for row in failed if row.reason != ALTERED}
