"""Write keys: one transaction of the target that locks, reads again, writes, deletes, links, and records all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing as closed
from dataclasses import field
from itertools import chain

from psycopg import sql

from hybrid_sync.catalog.shape import AsPlanned
from hybrid_sync.contracts import BatchTask, Key, RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.deletes.candidates import Candidates
from hybrid_sync.failpoints import failpoint
from hybrid_sync.failures.quarantine import RETRYABLE
from hybrid_sync.ids.known import KnownIds, Place
from hybrid_sync.keys import bucket_number, bucket_numbers, decode_part, one_of, record_among, recorded
from hybrid_sync.legacy import rows
from hybrid_sync.legacy.cut import Cut
from hybrid_sync.opening import SearchPath
from hybrid_sync.postgres import (
    Connection,
    Question,
    answer,
    inside,
    path_setting,
    send_with_next,
    together,
    transaction,
)
from hybrid_sync.recorded.checks import Deletes
from hybrid_sync.rows.scan import scan
from hybrid_sync.runs import store
from hybrid_sync.runs.store import Requested, RunRecord
from hybrid_sync.schema.legacy_structure import types_as_planned
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.schema.target_structure import table_as_planned
from hybrid_sync.session import Session
from hybrid_sync.steps.delete_rows import EntityDeletes
from hybrid_sync.steps.find_keys import KeysToCarry, Whole, run_to_open
from hybrid_sync.steps.list_departures import list_found
from hybrid_sync.steps.map_ids import cached
from hybrid_sync.steps.plan_entity import batch_of_keys
from hybrid_sync.steps.plans import ask_current
from hybrid_sync.steps.read_page import PageRead
from hybrid_sync.steps.same_version import same_secret
from hybrid_sync.steps.sync_batch import Carried, Page
from hybrid_sync.timing import timed
from hybrid_sync.world import World
from hybrid_sync.write.kept_out import REASONS
from hybrid_sync.write.links import any_waiting, groups, link, linkable
from hybrid_sync.write.open_run import open_run
from hybrid_sync.write.pages import Opened, PageStart, closing


class Grown(Exception):
    """Read under the locks, rows refer to parents that are not locked: everything is undone, to begin anew."""


@dataclass
class Wrote:
    """What has been committed, and what is still to be done for it."""

    run: RunRecord
    requested: Requested
    planned: Mapping[str, AsPlanned]
    guarded: set[str] = field(default_factory=set)
    """Entities of which more has gone than their guard lets go."""
    links: bool = False
    """References wait for a parent, or wait for these rows."""
    unqueued: list[BatchTask] = field(default_factory=list)
    """Failed records of these wait for a message."""
    differing: list[str] = field(default_factory=list)
    """Entities that have to be looked at closely."""


@dataclass
class _Part:
    """The keys of one source."""

    task: BatchTask
    page: Page
    opened: Opened
    plan: EntityPlan
    began: float
    read: PageRead | None = None
    carried: Carried | None = None

    @property
    def place(self) -> Place:
        return self.task.entity, self.task.source

    @property
    def keys(self) -> tuple[Key, ...]:
        return self.task.keys or ()


def write_keys(
    world: World, request: RunRequest, found: KeysToCarry, legacy: Connection, target: Connection
) -> Wrote | None:  # fmt: skip
    """Carry the rows in one transaction; None where an earlier delivery has.

    Raises Grown with the new parents in `found`, and Whole where the whole flow can do better.
    """
    order = [name for wave in world.catalog.waves(None) for name in wave if name in found.rows]
    waves = world.catalog.waves(order)
    run = RunRecord(request.run_id, request, "running", found.fence, waves)
    began = time.monotonic()
    with transaction(target, "target"):
        tasks = [
            batch_of_keys(request.run_id, (name, source), sorted(found.rows[name][source]))
            for name in order for source in sorted(found.rows[name])
        ]  # fmt: skip
        pages = open_run(
            target, run_to_open(world, run, found),
            [(t, cached(found.plans[t.entity].sources[t.source])) for t in tasks],
            [*same_secret(world), *(ask_current(world, name, found.plans[name], found.erasures) for name in order)],
        )  # fmt: skip
        failpoint("keys.opened", target, legacy)
        if pages is None:
            return None
        parts = [
            _Part(task, Page(world, task, PageStart(), plan, legacy, target), opened, plan, began)
            for task, opened in zip(tasks, pages, strict=True) for plan in (found.plans[task.entity],)
        ]  # fmt: skip
        return _Writing(world, run, parts, found, legacy, target).write()


class _Writing:
    """The state of the transaction, from the locks to the commit."""

    def __init__(
        self, world: World, run: RunRecord, parts: list[_Part], found: KeysToCarry, legacy: Connection,
        target: Connection,
    ) -> None:  # fmt: skip
        self._world = world
        self._run = run
        self._parts = parts
        self._found = found
        self._legacy = legacy
        self._target = target
        self._wrote = Wrote(run, found.rows, found.planned)

    def write(self) -> Wrote:
        self._read()
        failpoint("keys.read", self._target, self._legacy)
        known, pending = self._look_up()
        for n, part in enumerate(self._parts):
            if n:
                send_with_next(self._target, "discard temp")  # the tables of the part before
            self._carry(part, known)
        gone = self._gone(known)
        self._wrote.links = pending or any(part.carried.outcome.links for part in self._parts if part.carried)
        departs = bool(gone) or any(part.opened.marked for part in self._parts)  # or some have come back
        last = not departs and not self._wrote.links
        failpoint("keys.written", self._target, self._legacy)
        self._close(last=last, deletes=not departs)
        if not last:
            if departs:
                self._delete(gone)
            self._link()
            failpoint("keys.before_commit", self._target, self._legacy)
        return self._wrote

    # --- read ------------------------------------------------------------------------------------------------------

    @timed("read")
    def _read(self) -> None:
        """Every row as it is now, behind the locks."""
        with inside(self._legacy, "legacy", soon=True):
            path: SearchPath = None
            for part in self._parts:
                plan = part.plan.sources[part.task.source]
                if plan.path != path:
                    send_with_next(self._legacy, path_setting(path := plan.path))
                cut = Cut(plan, len(part.keys))
                assert isinstance(self._legacy, Session), "connect makes no other"
                entity = self._world.catalog[part.task.entity]
                self._legacy.ask_with_next(types_as_planned(entity, plan.source, plan.types))
                with closed(rows.parts(self._legacy, plan, one_of(plan.key_exprs, part.keys))) as copied:
                    scanned = scan(plan, chain.from_iterable(cut.take(copied)))
                if cut.more and cut.last != max(part.keys):
                    raise Whole("too_large")
                part.read = PageRead(scanned, [], None, frozenset(part.keys), 0)

    @timed("map")
    def _look_up(self) -> tuple[KnownIds, bool]:
        """The ids of these rows and of what they refer to; and whether any link is pending."""
        wanted: dict[Place, set[Key]] = {part.place: set(part.keys) for part in self._parts}
        for part in self._parts:
            for parent, keys in _parents(part).items():
                wanted.setdefault(parent, set()).update(keys)
        with together(self._target) as trip:
            known = KnownIds(trip, self._world.catalog, wanted)
            pending = trip.ask(any_waiting({part.place: part.keys for part in self._parts}))
            for name, plan in {part.task.entity: part.plan for part in self._parts}.items():
                trip.ask(table_as_planned(self._world.catalog[name], plan.table_identity))
        self._require_closed(known)
        return known, pending.value

    def _require_closed(self, known: KnownIds) -> None:
        """Every parent that is not there is among the rows."""
        closure = self._found.closure
        before = closure.size
        for part in self._parts:
            for parent, keys in _parents(part).items():
                carried = set(closure.rows.get(parent[0], {}).get(parent[1], ()))
                closure.add(parent, keys - carried - known.among(parent, keys))
        if closure.size > before:
            raise Grown

    # --- write -----------------------------------------------------------------------------------------------------

    def _carry(self, part: _Part, known: KnownIds) -> None:
        assert part.read is not None, "read before"
        with timed("carry", part.task.entity):
            part.carried = part.page.carry(part.opened, part.read, known)
        if any(row.reason in REASONS for row in part.carried.outcome.failed):
            raise Whole("moved_values")
        part.page.remember()  # a child in a later part finds its parent

    @timed("record")
    def _close(self, *, last: bool, deletes: bool) -> None:
        """Record what became of the rows, and that nothing is to be deleted; with the commit, where nothing is left
        to do."""
        if last:
            failpoint("keys.before_commit", self._target, self._legacy)
        with together(self._target, commits=last) as trip:
            closed = [(part, trip.ask(self._closing(part))) for part in self._parts]
            for name in {part.task.entity for part in self._parts} if deletes else ():
                trip.ask(store.part(self._run.run_id, name, deletes=Deletes(done=True).as_json()))
        self._wrote.unqueued = [part.task for part, answer in closed if answer.value[1]]

    @staticmethod
    def _closing(part: _Part) -> Question[tuple[int, bool]]:
        assert part.carried is not None, "carried before"
        seconds = time.monotonic() - part.began
        # What the transaction answered about its ids may be of one that is said again: see 0036_rest.sql.
        return closing(part.task, PageStart(), part.carried.outcome, part.carried.done, seconds, None, RETRYABLE)

    # --- deletes and links -----------------------------------------------------------------------------------------

    def _gone(self, known: KnownIds) -> dict[str, dict[str, Candidates]]:
        """Keys that legacy does not have any more, or excludes, and the target or the quarantine still has."""
        found: dict[str, dict[str, Candidates]] = {}
        for part in self._parts:
            assert part.read is not None, "read before"
            live = set(part.read.scanned.rows.decoded)
            live |= {row.key for row in part.read.scanned.rejected}
            left = set(part.keys) - live
            stored = known.among(part.place, left)
            waiting = left.intersection(part.opened.waiting or ())
            if stored and part.opened.marked:
                marked = sql.SQL("ended_run is null and {}").format(record_among(stored))
                stored -= set(recorded(self._target, "tombstone", *part.place, marked))
            if stored | waiting:
                absent = frozenset(waiting - stored)
                found.setdefault(part.task.entity, {})[part.task.source] = Candidates(sorted(stored | waiting), absent)
        return found

    def _delete(self, gone: Mapping[str, dict[str, Candidates]]) -> None:
        """By the entity's policy and guard, children first; legacy is asked once more about each of them."""
        listed: list[EntityDeletes] = []
        order = [name for wave in reversed(self._run.waves) for name in wave]
        for name in order:
            found = gone.get(name, {})
            counts = list_found(self._run, self._world.catalog[name], self._found.plans[name], found, self._target)
            assert counts is not None, "the run has just been recorded"
            store.record_part(self._target, self._run.run_id, name, deletes=counts)
            if counts["guarded"]:
                self._wrote.guarded.add(name)
            if not counts["done"]:
                args = (self._world, self._run, name, counts, self._legacy, self._target)
                listed.append(EntityDeletes(*args, within=True))
        for deletes in listed:
            deletes.clear_references(_PAGES)
        for deletes in listed:
            deletes.remove(_PAGES)

    @timed("link")
    def _link(self) -> None:
        """Cycles: both ends are there, and the rows are ours."""
        catalog, run_id = self._world.catalog, self._run.run_id
        ours = {part.place: set(bucket_numbers(part.keys)) for part in self._parts}
        for group in answer(self._target, groups(catalog, run_id)):
            locked = ours.get((group.entity, group.source))
            if locked is None:
                continue
            keys = [k for k in linkable(self._target, catalog, run_id, group, _LINKS) if bucket_number(k) in locked]
            if keys:
                firing = self._found.plans[group.entity].table.writes_beside
                done = link(self._target, catalog, run_id, group, keys, firing=firing)
                store.record_links(self._target, run_id, group.entity, linked=done, pending=0)


_PAGES = 100
_LINKS = 5_000


def _parents(part: _Part) -> dict[Place, set[Key]]:
    """What the rows that were read refer to."""
    assert part.read is not None, "read before"
    found: dict[Place, set[Key]] = {}
    at = 0
    for slot in part.plan.sources[part.task.source].references:
        for parent in slot.parents:
            column = set(part.read.scanned.rows.references[at])
            found.setdefault(parent, set()).update((decode_part(key),) for key in column if key is not None)
            at += 1
    return found
