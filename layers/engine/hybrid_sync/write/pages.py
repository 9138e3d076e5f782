"""What is recorded of a batch's pages: each is one transaction, and a repeated delivery goes on behind the last one.

A page has a name of its own, made of the batch's name and the page's number, so two deliveries that work on one batch
side by side agree on every page: whoever comes second finds what it did and where it ended.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql

from hybrid_sync.contracts import BatchResult, BatchTask, Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import PARAMETER
from hybrid_sync.legacy.changes import Detection
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Question, together
from hybrid_sync.retries import CONTENDED_PAGE
from hybrid_sync.timing import timed
from hybrid_sync.write.batches import Outcome, require_entered


@dataclass(frozen=True)
class PageStart:
    """Where a page begins: its number in the batch, and the last key of the page before."""

    number: int = 0
    after: Key | None = None


@dataclass(frozen=True)
class PageDone:
    """What a page did; `until` is its last key, None when the batch ends with it."""

    number: int
    result: BatchResult
    until: Key | None

    def next(self) -> PageStart | None:
        """Where the batch goes on."""
        return None if self.until is None else PageStart(self.number + 1, self.until)


def batch_id(task: BatchTask) -> uuid.UUID:
    """The batch's name by what it covers, so that a repeated delivery finds the first one's result."""
    # The key list is part of the name: a requested batch and a retry batch may share a range.
    named = json.dumps([task.run_id, task.entity, task.source, task.lo, task.hi, task.purpose, task.keys])
    return _named(named)


def page_id(task: BatchTask, start: PageStart) -> uuid.UUID:
    """The page's name; the first page of a batch has the batch's."""
    batch = batch_id(task)
    return batch if start.number == 0 else _named(f"{batch}/{start.number}")


def _named(text: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


@dataclass(frozen=True)
class Opened:
    """What a page finds once its keys are locked."""

    fence: Fence
    """The run's."""
    detection: Detection | None
    """None where only named keys are read."""
    epochs: Mapping[str, int]
    """Of the id cache, per entity."""
    waiting: frozenset[Key] | None
    """Keys with an open failed record that the page may come to; None where they are too many to be sent along."""
    marked: bool
    """Rows that the page may come to are marked as deleted."""
    retired: bool
    """Ids of keys that the page may come to were retired."""


@timed("lock")
def open_page(
    connection: Connection, task: BatchTask, start: PageStart, buckets: Sequence[int], keys: tuple[int, int],
    entities: Collection[str], *, first: Question[None], then: Question[None],
) -> Opened | list[PageDone]:  # fmt: skip
    """Ask `first`; take run, hold and buckets, in this order; claim the page and look up what it needs; ask `then`.

    `keys` are the first and the last integer that a key of the page can begin with.  When an earlier delivery has done
    the page: what it did, here and behind it as far as it came.  Raises when the run has ended or the entity is held.
    """
    opening = Question(
        sql.SQL(
            "select * from hybrid_sync.open_batch(%s, %s, %s, {}, %s, %s, %s, %s, %s, %s, %s, {}, %s::text[])"
        ).format(PARAMETER, PARAMETER),
        (
            task.run_id, task.entity, task.source, list(buckets), page_id(task, start), batch_id(task), start.number,
            task.lo, task.hi, *keys, list(start.after or ()), list(entities),
        ),
        lambda cursor: cursor.fetchone(),
    )  # fmt: skip
    with together(connection) as trip:
        trip.ask(first)
        asked = trip.ask(opening)
        trip.ask(then)
    row = asked.value
    assert row is not None, "a function with OUT parameters is one row"
    refused, status, *found = row
    require_entered(connection, task.run_id, task.entity, refused, status)
    return opened(*found)


def opened(
    done: list[Any] | None, planned: Any, detection: Any, epochs: Mapping[str, int], waiting: list[list[int]] | None,
    marked: bool, retired: bool,
) -> Opened | list[PageDone]:  # fmt: skip
    """What `hybrid_sync.open_batch` answers where it lets the page in."""
    if done is not None:
        return [PageDone(n, BatchResult.model_validate(r), tuple(until) if until else None) for n, r, until in done]
    return Opened(
        Fence.model_validate(planned),
        Detection.recorded(*detection) if detection is not None and detection[0] else None,
        epochs,
        None if waiting is None else frozenset(tuple(key) for key in waiting),
        marked,
        retired,
    )


_CLOSE = sql.SQL(
    "select resolved, unqueued from hybrid_sync.close_batch("
    "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::text[], {}, %s::text[])"
).format(PARAMETER)


def closing(
    task: BatchTask, start: PageStart, outcome: Outcome, done: PageDone, seconds: float, xids: Iterable[int] | None,
    retryable: Sequence[str],
) -> Question[tuple[int, bool]]:  # fmt: skip
    """Record what became of the rows, what the page did, and where the next one begins, as one question among others.

    Without `xids` they are those of the page's entries in the journal.  How many records were resolved, and whether
    failed records with a retryable reason wait for a message.
    """
    parameters = (
        task.run_id, task.entity, task.source, *outcome.parameters(), page_id(task, start),
        done.result.model_dump_json(), seconds,
        None if xids is None else [str(x) for x in sorted(set(xids))],
        None if done.until is None else list(done.until), list(retryable),
    )  # fmt: skip
    return Question(_CLOSE, parameters, lambda cursor: (int((row := cursor.fetchall()[0])[0]), bool(row[1])))


@timed("record")
def close_page(
    connection: Connection, task: BatchTask, start: PageStart, outcome: Outcome, done: PageDone, seconds: float,
    xids: Iterable[int], retryable: Sequence[str],
) -> tuple[PageDone, bool]:  # fmt: skip
    """`closing`, and the commit; returns the page with the number of resolved records, and whether a message is due."""
    with together(connection, commits=True) as trip:
        closed = trip.ask(closing(task, start, outcome, done, seconds, xids, retryable))
    resolved, unqueued = closed.value
    return replace(done, result=done.result.model_copy(update={"resolved": resolved})), unqueued


PATIENCE = CONTENDED_PAGE.attempts - 1
"""Attempts of a page that contention may end; after them a row that is in the way costs itself."""


def count_contention(connection: Connection, task: BatchTask, start: PageStart) -> None:
    """One more attempt of the page has ended in contention; in a transaction of its own, the page's is rolled back."""
    connection.execute(
        "insert into hybrid_sync.batch_attempt as a (page_id, run_id) values (%s, %s)"
        " on conflict (page_id) do update set attempts = a.attempts + 1",
        (page_id(task, start), task.run_id),
    )


def is_last_attempt(connection: Connection, identity: uuid.UUID) -> bool:
    """Whether contention has ended the page often enough."""
    row = connection.execute(
        "select attempts from hybrid_sync.batch_attempt where page_id = %s", (identity,)
    ).fetchone()
    return row is not None and int(row[0]) >= PATIENCE
