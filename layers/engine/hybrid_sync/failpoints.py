"""Failpoints: named places where a test harness makes a step exit, raise, lose its connections or stall.

Off by default, and nothing in a deployment can switch them on: no setting and no environment variable leads here,
only a call of `armed` in the same process.  A step that nobody armed pays one look at an empty dict per point.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hybrid_sync.dataclass import dataclass

if TYPE_CHECKING:
    from hybrid_sync.postgres import Connection

POINTS: dict[str, str] = {
    "erase.locked": "The entities that have people's rows are locked; nothing is looked at.",
    "erase.entered": "The erasure and its list stand in the target, not committed; no row is touched.",
    "erase.rows_changed": "Rows are deleted or pseudonymised; before-images and failed records still know them.",
    "erase.certified": "People are erased and it is certified, not committed; the list outside knows nothing of it.",
    "erase.kept_outside": "People are erased in the target, not committed, and the list outside has them.",
    "erase.committed": "The erasure is committed; the run that asked for it is not planned.",
    "erase.caught_up": "Erasures that the target did not know are made good in it, not committed.",
    "fence.taken": "The commit snapshot of legacy is in hand and stands nowhere yet.",
    "run.creating": "The run and its entities are written, not committed.",
    "run.recorded": "The run is committed; the caller does not know it yet.",
    "bulk.beginning": "Indexes and foreign keys of an empty table are recorded and dropped, not committed.",
    "bulk.begun": "They are gone; nothing is loaded yet.",
    "bulk.making": "One of them is made again, not committed; or all are there.",
    "bulk.made": "One of them is there again.",
    "bulk.proving": "The server has looked at all rows of a foreign key; what it found is not committed.",
    "bulk.taken_back": "Rows that break a foreign key are deleted and recorded as failed, not committed.",
    "bulk.ended": "Everything is made again; what could be proven is.",
    "plan.checked": "The run runs, the entity is free; how it is read is not decided.",
    "plan.scanned": "Changed keys are counted by bucket.",
    "plan.manifest_written": "The batches are stored once for all; the target does not know of them.",
    "plan.recording": "The plan is written to the target, not committed.",
    "plan.recorded": "The plan is committed.",
    "keys.opened": "A run of a few keys, its locks and its pages are written, not committed; nothing is read again.",
    "keys.read": "The few rows are read under their locks.",
    "keys.written": "The few rows are written; no record says so.",
    "keys.before_commit": "Records, result and commit of a few keys are next; deletes and links are done.",
    "keys.committed": "A few keys are committed; the caller does not know it, and nothing is verified.",
    "keys.verified": "A few keys are compared on both sides; the verdict is not recorded.",
    "batch.claimed": "Run, hold and key buckets are locked, batch_done holds this batch, uncommitted; nothing is read.",
    "batch.read": "The rows are read from legacy.",
    "batch.mapped": "Ids and references are spliced in.",
    "batch.staged": "Known rows lie in the staging table.",
    "batch.changed": "A set of rows is inserted or updated.",
    "batch.journalled": "The journal entry of a set of rows is written.",
    "batch.isolating": "The server refused a set of rows, and the savepoint is rolled back; the row loop comes next.",
    "batch.written": "Every row that the target takes is written.",
    "batch.recorded": "What became of each row is known; no record says so.",
    "batch.before_commit": "Records, result and commit travel together, and are next.",
    "batch.committed": "The commit has happened; the caller does not know it, and nothing is cached.",
    "batch.cached": "New ids are in the cache.",
    "batch.queueing": "Failed records are marked as queued, not committed, and no message is sent.",
    "batch.queue_sent": "Messages about failed records are sent; their marks are not committed.",
    "settle.chosen": "The rows that a unique value kept out are known; nothing is locked.",
    "settle.locked": "The buckets of these rows, and of those that have their values, are locked.",
    "settle.page": "One page of these rows is read and staged; others may follow.",
    "settle.staged": "All of them are read from legacy again and staged; nothing is written.",
    "settle.written": "Every row that can have its value has it, journalled; the failed records still stand.",
    "settle.before_commit": "The failed records are resolved; the commit is next.",
    "settle.committed": "The unique values of an entity are settled and committed; new ids are not cached.",
    "link.chosen": "Keys to link are found; nothing is locked.",
    "link.locked": "The buckets of the rows to link are locked.",
    "link.staged": "The rows to link are locked, and what they referred to is known; nothing is written.",
    "link.journalled": "References are linked and their before-images are journalled, not committed.",
    "link.written": "References are linked, not committed.",
    "link.committed": "One chunk of references is committed.",
    "reconcile.begun": "What an earlier attempt found is forgotten; nothing is compared.",
    "reconcile.compared": "A segment is compared, and what seems to differ is recorded.",
    "reconcile.confirmed": "Suspects were looked at again; the batches that heal are not stored.",
    "reconcile.planned": "The batches that heal are stored; the target does not know how many there are.",
    "reconcile.rechecked": "What was healed is looked at again; the result is not recorded.",
    "delete.listed": "The candidates of an entity are listed; nothing is deleted.",
    "delete.locked": "The buckets of a page of candidates are locked.",
    "delete.checked": "Legacy was asked again about each of them.",
    "delete.written": "Rows are deleted or marked, with their journal entries; what became of each is not recorded.",
    "delete.before_commit": "A page of deletes is written and recorded; the commit is next.",
    "delete.committed": "One page of deletes is committed.",
    "verify.snapshots": "Both snapshots are open.",
    "verify.compared": "Rows and money are compared; the fence stands where it was.",
    "verify.recording": "What keys were found not to be is in quarantine, not committed; verdict and fence come next.",
    "verify.committed": "Verdict and fence are committed.",
    "report.finished": "The run is ended, not committed.",
    "report.committed": "The run's end is committed; the report is not stored.",
    "report.stored": "The report is stored; nobody is notified.",
    "retry.counted": "The attempt is counted; the retry has no run yet.",
    "retry.recorded": "The retry's run is committed; nothing is read.",
}
"""Every failpoint and what is true there."""

LONGEST_STALL = 10.0
"""Seconds."""
EXIT_CODE = 86
"""How a process ends at an armed `Exit`, so that its parent can distinguish it from a crash of its own."""


class UnknownFailpoint(KeyError):
    """There is no failpoint of this name."""


class FailpointRaised(Exception):
    """What an armed `Raise` raises."""


@dataclass(frozen=True)
class Exit:
    """End the process at once, as a crash does: no cleanup, no rollback, buffers lost."""

    def fire(self, name: str, connections: tuple[Connection, ...]) -> None:
        os._exit(EXIT_CODE)


@dataclass(frozen=True)
class Raise:
    """Raise an error that no code expects."""

    def fire(self, name: str, connections: tuple[Connection, ...]) -> None:
        raise FailpointRaised(name)


@dataclass(frozen=True)
class Drop:
    """Cut the sockets of the step's connections under the driver: `which` one, or all (None)."""

    which: int | None = None

    def fire(self, name: str, connections: tuple[Connection, ...]) -> None:
        chosen = connections if self.which is None else connections[self.which : self.which + 1]
        for connection in chosen:
            if not connection.closed:
                # A duplicate of the descriptor: closing it leaves the driver's own one open, but cut.
                with socket.socket(fileno=os.dup(connection.fileno())) as wire:
                    wire.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Stall:
    """Hold the step for `seconds`, at most LONGEST_STALL."""

    seconds: float

    def fire(self, name: str, connections: tuple[Connection, ...]) -> None:
        time.sleep(min(self.seconds, LONGEST_STALL))


class Action(Protocol):
    """What can be armed: one of the above, or a test's own, which may do anything at that moment."""

    def fire(self, name: str, connections: tuple[Connection, ...]) -> None: ...


class Armed:
    """What fires where, once each, and what was passed or fired so far."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        for name in actions:
            _require_known(name)
        self._waiting = dict(actions)
        self.passed: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()

    def reach(self, name: str, connections: tuple[Connection, ...]) -> None:
        """A step is at `name`: count it, and do what is armed there."""
        _require_known(name)
        self.passed[name] += 1
        action = self._waiting.pop(name, None)
        if action is not None:
            self.fired[name] += 1
            action.fire(name, connections)


_armed: dict[str, Armed] = {}


def failpoint(name: str, *connections: Connection) -> None:
    """A named place in a step; `connections` are those that a drop here would cut.  Nothing unless armed."""
    if _armed:
        _armed["now"].reach(name, connections)


@contextmanager
def armed(actions: Mapping[str, Action]) -> Iterator[Armed]:
    """Arm these failpoints of this process while the block runs; for test harnesses only.

    Each fires once.  Raises UnknownFailpoint for a name that is not in POINTS, RuntimeError when already armed.
    """
    plan = Armed(actions)
    if _armed:
        raise RuntimeError("failpoints are armed already in this process")
    _armed["now"] = plan
    try:
        yield plan
    finally:
        _armed.clear()


def _require_known(name: str) -> None:
    if name not in POINTS:
        raise UnknownFailpoint(name)
