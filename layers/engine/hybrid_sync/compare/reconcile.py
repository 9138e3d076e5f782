"""The reconcile of one entity: segments of keys, their checksums, and what is to be said of each key that differs.

It depends on no cursor, clock, transaction id or trigger to find a difference; those only say who made it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.catalog.place import table
from hybrid_sync.compare import findings
from hybrid_sync.compare.canonical import canonical
from hybrid_sync.compare.checksums import Sides, differing_buckets
from hybrid_sync.compare.early_count import EarlyCount, count_rows_early
from hybrid_sync.compare.origin import native_xids, origin, reported_before
from hybrid_sync.compare.parts import Range, ranges
from hybrid_sync.compare.recheck import Departure, Difference, Finding, Moving, recheck
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.failpoints import failpoint
from hybrid_sync.ids.guard import forget, wrong_entries
from hybrid_sync.ids.idmap import IdCache
from hybrid_sync.legacy.changes import later
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, snapshot, together, transaction
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.session import Trip

SEGMENT_ROWS = 500_000
"""Legacy rows in one segment: a few seconds of two snapshots, and the part of the work that runs in parallel."""
_LOOKED_AT_ONCE = 1_000


@dataclass(frozen=True)
class Segment:
    """A key range of one source; `n` counts the entity's segments."""

    n: int
    source: str
    lo: int | None
    hi: int | None


@dataclass(frozen=True)
class Equal:
    """Both sides of an entity hold the same rows."""

    seen: EarlyCount
    """It stands for the entity's verification while nothing is written."""
    compared: list[tuple[Segment, findings.Compared]]


@dataclass
class Reconcile:
    """One entity of one run, with open connections to both databases."""

    run_id: str
    catalog: Catalog
    plan: EntityPlan
    entity: Entity
    carried: Fence
    """Everything that legacy committed before this has been carried over, or should have been."""
    before: Fence | None
    """The entity's fence before this run; None when it had none."""
    complete: bool
    """Every batch of the run is done: what it has not written, the fence has not found."""
    repair: bool
    cache_epoch: int
    """Under which ids were cached when the reconcile began."""
    whole: bool
    """The run carries all of the entity, and by transaction ids: verification would compare the same rows."""
    legacy: Connection
    target: Connection

    # --- segments ----------------------------------------------------------------------------------------------

    def segments(self, size: int = SEGMENT_ROWS) -> list[Segment]:
        """Key ranges of about `size` legacy rows each; together they cover every key there can be."""
        found: list[Segment] = []
        for name, source in self.entity.sources.items():
            path = self.entity.legacy_search_path
            for keys in ranges(self.plan.sources[name], source, size, self.legacy, path):
                found.append(Segment(len(found), name, keys.lo, keys.hi))
        return found

    def compare(self, segment: Segment, cache: IdCache) -> int:
        """Record the keys of a segment that seem to differ; returns how many.  Safe to repeat.

        Its cached ids are compared with the target's as well: one wrong entry makes the entity's cache forgotten.
        Every segment looks at what was cached when the reconcile began, whatever another one has made forgotten.
        Nothing has to be held for it: what it may have spoilt differs by reference, and healing asks the target.
        """
        began = time.monotonic()
        entity, keys = self.entity.entity, Range(segment.lo, segment.hi)
        first = sql.Identifier(self.plan.sources[segment.source].key_columns[0])
        with self._sides(segment.source, keys) as sides:
            ours, theirs = sides.compare()
            suspects = [*sides.differing_keys(differing_buckets(ours, theirs)), *sides.unreadable]
            spent = time.monotonic() - began
            wrong = wrong_entries(
                self.target, self.catalog, cache, entity, segment.source, self.cache_epoch, keys.of(first)
            )  # fmt: skip
        compared = findings.Compared(
            sum(rows for rows, _ in ours.values()), sum(rows for rows, _ in theirs.values()), len(sides.in_flight),
            round(spent, 3),
        )  # fmt: skip
        with transaction(self.target, "target"):
            with together(self.target, commits=not (suspects or wrong)) as trip:
                self.record(trip, segment, compared, len(suspects))
            findings.suspect(self.target, (self.run_id, entity, segment.source, segment.n), suspects)
            if wrong:
                findings.list_wrong_ids(self.target, self.run_id, entity, segment.source, wrong)
                forget(self.target, entity, self.cache_epoch)
        failpoint("reconcile.compared", self.legacy, self.target)
        return len(suspects)

    def record(self, trip: Trip, segment: Segment, compared: findings.Compared, suspected: int = 0) -> None:
        """What comparing the segment found."""
        ends = (segment.lo, segment.hi)
        findings.record_segment(
            trip, self.run_id, self.entity.entity, segment.n, segment.source, ends, compared, suspected
        )  # fmt: skip

    def equal(self, segments: Sequence[Segment], cache: IdCache) -> Equal | None:
        """Look at each row of both sides once, and at every cached id; None where anything differs or is in doubt."""
        began = time.monotonic()
        name, legacy = self.entity.entity, snapshot(self.legacy, "legacy", path=self.entity.legacy_search_path)
        with snapshot(self.target, "target"), legacy:
            looked = count_rows_early(self.catalog, self.plan, self.carried, name, self.legacy, self.target)
            if looked is None or any(
                wrong_entries(self.target, self.catalog, cache, name, source, self.cache_epoch, sql.SQL("true"))
                for source in self.entity.sources
            ):
                return None
        seen, passes = looked
        spent = round((time.monotonic() - began) / len(passes), 3)
        compared: list[tuple[Segment, findings.Compared]] = []
        for segment in segments:
            rows, moving = passes[segment.source].places[RowState.current], len(passes[segment.source].in_flight)
            compared.append((segment, findings.Compared(rows, rows, moving, spent)))
        return Equal(seen, compared)

    @contextmanager
    def _sides(self, name: str, keys: Range, *, settled: bool = True) -> Iterator[Sides]:
        """Fresh snapshots of both servers; the target is asked first: what legacy commits in between is in flight."""
        plan, source = self.plan.sources[name], self.entity.sources[name]
        sides = Sides(
            plan, source, table(self.entity.target), canonical(self.catalog, plan),
            self._since(source, self.carried), keys, self.legacy, self.target,
        )  # fmt: skip
        legacy = snapshot(self.legacy, "legacy", path=self.entity.legacy_search_path)
        with snapshot(self.target, "target"), legacy:
            if settled:
                sides.settle()
            yield sides

    def _since(self, source: Source, fence: Fence | None) -> sql.Composable:
        """The condition that legacy changed a row after the fence, in the way in which the entity is read."""
        if fence is None:
            return sql.SQL("false")
        return later(source, self.entity, fence, stamped=self.entity.detect == "timestamp")

    # --- the second look -----------------------------------------------------------------------------------------

    def confirm(self) -> None:
        """Look again at every suspect; keep what persists, with its columns and who made it."""
        for name in self.entity.sources:
            for keys in self._pages(name, "suspected"):
                self._sort(name, keys, self._looked(name, keys))

    def recheck(self) -> None:
        """Look again at what was healed: equal by now, in flight, or it persists."""
        for name in self.entity.sources:
            for keys in self._pages(name, "confirmed", "persists"):
                found = self._looked(name, keys)
                left = {d.key for d in found if isinstance(d, Difference)}
                moving = {m.key for m in found if isinstance(m, Moving)}
                self._settle(name, keys, left, moving)

    def _pages(self, name: str, *states: str) -> Iterator[list[Key]]:
        after: Key = ()
        while True:
            with transaction(self.target, "target"):
                keys = findings.page(self.target, self.run_id, self.entity.entity, name, states, after, _LOOKED_AT_ONCE)
            if not keys:
                return
            after = keys[-1]
            yield keys

    def _looked(self, name: str, keys: list[Key]) -> list[Finding]:
        source = self.entity.sources[name]
        with self._sides(name, Range(), settled=False) as sides:
            return list(recheck(sides, keys, self._since(source, self.before)))

    def _sort(self, name: str, keys: list[Key], found: Iterable[Finding]) -> None:
        entity = self.entity.entity
        differences = [f for f in found if isinstance(f, Difference)]
        departures = [f for f in found if isinstance(f, Departure)]
        kept = {d.key for d in differences}
        first = self.before is None
        with transaction(self.target, "target"):
            xids = [d.xmin for d in differences if d.xmin is not None]
            native = native_xids(self.target, self.run_id, entity, xids)
            reported = reported_before(self.target, self.run_id, entity, name, kept)
            sorted_ = [(d, origin(d, native, reported, first=first)) for d in differences]
            findings.clear(self.target, self.run_id, entity, name, [key for key in keys if key not in kept])
            lines = [
                findings.Confirmed(d, o, self._missed_by_fence(d, o), self._heals(d, o)) for d, o in sorted_
            ]  # fmt: skip
            findings.confirm(self.target, self.run_id, entity, name, lines)
            findings.list_departures(self.target, self.run_id, entity, name, departures)

    def _missed_by_fence(self, difference: Difference, who: str) -> bool | None:
        """Whether the fence should have found it; None where it did, and its batch is not done."""
        if who == "legacy" and difference.recent:
            return True if self.complete else None
        return False

    def _heals(self, difference: Difference, who: str) -> bool:
        """A row that legacy has and the target lacks always comes back; a native change only yields to a repair."""
        if difference.kind == "unjoined":
            return False
        return who == "legacy" or difference.kind == "missing" or self.repair

    def _settle(self, name: str, keys: list[Key], left: set[Key], moving: set[Key]) -> None:
        entity = self.entity.entity
        with transaction(self.target, "target"):
            healing = findings.healing(self.target, self.run_id, entity, name, keys)
            for state, some in (
                ("persists", healing & left),
                ("in_flight", healing & moving),
                ("healed", healing - left - moving),
            ):
                findings.settle(self.target, self.run_id, entity, name, sorted(some), state)
