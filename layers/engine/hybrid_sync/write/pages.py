"""What is recorded of a batch's pages: each is one transaction, and a repeated delivery goes on behind the last one.

A page has a name of its own, made of the batch's name and the page's number, so two deliveries that work on one batch
side by side agree on every page: whoever comes second finds what it did and where it ended.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from hybrid_sync.contracts import BatchResult, BatchTask, Key
from hybrid_sync.postgres import Connection


@dataclass(frozen=True)
class Place:
    """Where a page begins: its number, and the key behind which it reads."""

    number: int = 0
    after: Key | None = None


@dataclass(frozen=True)
class PageDone:
    """What a page did; `until` is its last key, None when the batch ends with it."""

    number: int
    result: BatchResult
    until: Key | None

    def next(self) -> Place | None:
        """Where the batch goes on."""
        return None if self.until is None else Place(self.number + 1, self.until)


def batch_id(task: BatchTask) -> uuid.UUID:
    """The batch's name by what it covers, so that a repeated delivery finds the first one's result."""
    # The key list is part of the name: a requested batch and a retry batch may share a range.
    named = json.dumps([task.run_id, task.entity, task.source, task.lo, task.hi, task.purpose, task.keys])
    return _named(named)


def page_id(task: BatchTask, place: Place) -> uuid.UUID:
    """The page's name; the first page of a batch has the batch's."""
    batch = batch_id(task)
    return batch if place.number == 0 else _named(f"{batch}/{place.number}")


def _named(text: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


def begin_page(connection: Connection, task: BatchTask, place: Place) -> list[PageDone]:
    """Claim the page; when an earlier delivery has done it, this page and those behind it, as far as they are done."""
    claimed = connection.execute(
        "insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi, batch, page)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (batch_id) do nothing returning 1",
        (
            page_id(task, place), task.run_id, task.entity, task.source, task.lo, task.hi, batch_id(task),
            place.number,
        ),
    ).fetchone()  # fmt: skip
    if claimed is not None:
        return []
    rows = connection.execute(
        "select page, result, until from hybrid_sync.batch_done"
        " where (batch = %(batch)s or batch_id = %(batch)s) and page >= %(page)s and result is not null order by page",
        {"batch": batch_id(task), "page": place.number},
    ).fetchall()
    assert rows, "whoever claimed the page has recorded it in the same transaction"
    return [PageDone(n, BatchResult.model_validate(r), tuple(until) if until else None) for n, r, until in rows]


PATIENCE = 2
"""Attempts of a page that contention may end; after them a row that is in the way costs itself."""


def count_contention(connection: Connection, task: BatchTask, place: Place) -> None:
    """One more attempt of the page has ended in contention; in a transaction of its own, the page's is rolled back."""
    connection.execute(
        "insert into hybrid_sync.batch_attempt as a (page_id, run_id) values (%s, %s)"
        " on conflict (page_id) do update set attempts = a.attempts + 1",
        (page_id(task, place), task.run_id),
    )


def is_last_attempt(connection: Connection, identity: uuid.UUID) -> bool:
    """Whether contention has ended the page often enough."""
    row = connection.execute(
        "select attempts from hybrid_sync.batch_attempt where page_id = %s", (identity,)
    ).fetchone()
    return row is not None and int(row[0]) >= PATIENCE


def finish_page(
    connection: Connection, identity: uuid.UUID, done: PageDone, seconds: float, xids: Iterable[int]
) -> None:
    """Record what the page did, and where the next one begins."""
    connection.execute(
        "update hybrid_sync.batch_done set result = %s, seconds = %s, xids = %s::text[]::xid[], until = %s,"
        " done_at = clock_timestamp() where batch_id = %s",
        (
            done.result.model_dump_json(), seconds, [str(x) for x in sorted(set(xids))],
            None if done.until is None else list(done.until), identity,
        ),
    )  # fmt: skip
