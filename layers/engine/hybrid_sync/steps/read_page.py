"""Read page: the next rows of a batch as they are now; what legacy cannot compute becomes a failed record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain

import psycopg
from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.compare.findings import keys_to_heal
from hybrid_sync.contracts import BatchTask, Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import keys_after, one_of
from hybrid_sync.legacy import changes, fence, rows
from hybrid_sync.legacy.cut import PAGE_BYTES, Cut
from hybrid_sync.legacy.unreadable import read_isolated, require_readable
from hybrid_sync.postgres import Connection, Question, transaction
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.rows.scan import Scanned, scan
from hybrid_sync.schema.legacy_structure import types_as_planned
from hybrid_sync.session import Session
from hybrid_sync.timing import timed
from hybrid_sync.world import World
from hybrid_sync.write.isolate import unreadable_reason
from hybrid_sync.write.pages import Opened, PageStart


@dataclass(frozen=True)
class PageRead:
    """A page after the first look at its rows."""

    scanned: Scanned
    unreadable: list[FailedRow]
    until: Key | None
    """The page's last key; None when nothing of the batch is left."""
    asked: frozenset[Key]
    """Keys that were named, and looked for up to `until`."""
    row_bytes: int
    """What a row of it takes on average."""


@dataclass(frozen=True)
class _Wanted:
    """The condition, and where keys are named: these, and whether more of them follow."""

    where: sql.Composable
    keys: Sequence[Key] | None = None
    more: bool = False


@timed("read")
def read_page(
    world: World, task: BatchTask, start: PageStart, plan: ReadPlan, opened: Opened, row_bytes: int, legacy: Connection,
    target: Connection,
) -> PageRead:  # fmt: skip
    """The page at `start`; the caller holds the locks of every key that it may read.

    `row_bytes` is what rows of this batch took so far, so that no more is asked for than a page takes; 0: not known.
    """
    most = task.page_rows if not row_bytes else max(1, min(task.page_rows, PAGE_BYTES // row_bytes))
    wanted = _wanted(world, task, start, plan, opened, most, target)
    types = types_as_planned(world.catalog[task.entity], plan.source, plan.types)
    cut, scanned, unreadable = _rows(plan, wanted, opened, Cut(plan, most), legacy, types)
    until = cut.last if cut.more else None
    if until is None and wanted.more and wanted.keys:
        until = wanted.keys[-1]
    asked = frozenset(key for key in wanted.keys or () if until is None or key <= until)
    return PageRead(scanned, unreadable, until, asked, cut.size // max(1, cut.rows))


def _rows(
    plan: ReadPlan, wanted: _Wanted, opened: Opened, cut: Cut, legacy: Connection, types: Question[None]
) -> tuple[Cut, Scanned, list[FailedRow]]:  # fmt: skip
    # Named keys are few already, and a bound would let the planner walk the whole table in key order to find them.
    at_most = cut.at_most if wanted.keys is None else None
    trial = replace(cut)
    fence.keep_to(legacy, opened.fence)
    try:
        with transaction(legacy, "legacy", read_only=True, path=plan.path):
            assert isinstance(legacy, Session), "connect makes no other"
            legacy.ask_with_next(types)  # whoever asks for columns keeps others from changing them
            # Closed at once when the page is full or the scan fails: an open COPY keeps the connection from ending.
            with closing(rows.parts(legacy, plan, wanted.where, at_most)) as found:
                return trial, scan(plan, chain.from_iterable(trial.take(found))), []
    except psycopg.Error as error:
        require_readable(legacy, plan, error)
    isolated = read_isolated(legacy, plan, wanted.where, cut)
    scanned = scan(plan, isolated.rows)
    scanned.read += len(isolated.unreadable)
    unreadable = [FailedRow(r.item, unreadable_reason(r.sqlstate), sqlstate=r.sqlstate) for r in isolated.unreadable]
    return isolated.cut, scanned, unreadable


def _wanted(
    world: World, task: BatchTask, start: PageStart, plan: ReadPlan, opened: Opened, most: int, target: Connection
) -> _Wanted:
    if task.keys is not None:
        left = [key for key in sorted(task.keys) if start.after is None or key > start.after]
        return _named(plan, left, most)
    if task.purpose == "heal":
        return _named(plan, keys_to_heal(target, task, start.after, most + 1), most)
    source = world.catalog[task.entity].sources[task.source]
    parts: list[sql.Composable] = [changes.in_range(source, task.lo, task.hi), keys_after(plan.key_exprs, start.after)]
    if task.buckets != ((task.lo, task.hi - 1),):
        parts.append(changes.in_buckets(source, task.buckets))
    assert opened.detection is not None, "an entity is planned before its batches run"
    changed = changes.changed(source, opened.detection)
    if not plan.unique and opened.detection.mode != "full":
        # All rows of a changed key: where it has a twin, the changed one must not win by being read alone.
        changed = changes.keys_under(plan, sql.SQL(" and ").join([*parts, changed]))
    return _Wanted(sql.SQL(" and ").join([*parts, changed]))


def _named(plan: ReadPlan, keys: Sequence[Key], most: int) -> _Wanted:
    return _Wanted(one_of(plan.key_exprs, keys[:most]), keys[:most], len(keys) > most)
