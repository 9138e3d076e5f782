"""What is compared: the keys of one source that are settled, the same on both sides.

Legacy stays in use, so rows that changed after the run's fence are in flight: the next run carries them, and both
sides leave them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field

from psycopg import sql

from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.models import Entity, Source
from hybrid_sync.compare.digests import Seeds, draw
from hybrid_sync.compare.parts import ALL, Range
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import (
    among,
    ask_recorded,
    belongs_to,
    first_part,
    key_columns,
    key_parts,
    make_room,
    none_of,
    of_source,
    one_of,
    record_key,
)
from hybrid_sync.legacy.changes import later
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, together
from hybrid_sync.schema.legacy_structure import has_transaction_ids
from hybrid_sync.session import Answer, Trip
from hybrid_sync.write.tombstones import ask_marked, is_any_marked


def changed_after(entity: Entity, source: Source, carried: Fence, legacy: Connection) -> sql.Composable:
    """Legacy rows that changed after what was carried over; by transaction ids wherever legacy has them."""
    stamped = entity.detect == "timestamp" and (carried.doubt == "replica" or not has_transaction_ids(legacy, source))
    return later(source, entity, carried, stamped=stamped)


Known = tuple[Answer[bool], Answer[list[Key]]]
"""Whether any row of a source is marked as deleted, and its keys in quarantine."""


def ask_known(trip: Trip, entity: str, source: str) -> Known:
    """Both among other questions."""
    waiting = sql.SQL("status <> 'resolved' and key <> '{}'")
    return trip.ask(ask_marked(entity, source)), trip.ask(ask_recorded("failed_record", entity, source, waiting))


@dataclass
class Scope:
    """One source of one entity under verification; `keys` None means all of them."""

    plan: ReadPlan
    source: Source
    relation: sql.Identifier
    after_fence: sql.Composable
    """Legacy rows that changed after the run's fence."""
    keys: list[Key] | None
    part: Range = ALL
    """Of all keys, those whose first part lies within; rows without one belong to the part that has no beginning."""
    in_flight: list[Key] = field(default_factory=list)
    failed_absent: list[Key] = field(default_factory=list)
    failed_present: list[Key] = field(default_factory=list)
    missing: list[Key] = field(default_factory=list)
    """Found by conservation: legacy has them, and neither the target nor the quarantine does."""
    seeds: Seeds = field(default_factory=draw)
    """Of the sums by which a pass over both sides compares them."""
    has_marked: bool = False
    """Some rows are marked as deleted: they are in the target, and for legacy they are not."""

    # --- legacy --------------------------------------------------------------------------------------------

    @property
    def legacy_keys(self) -> list[sql.Composed]:
        return key_parts(self.plan.key_exprs)

    def in_legacy(self) -> sql.Composable:
        """Legacy rows under verification, settled or not, those without a key among them."""
        if self.keys is not None:
            return one_of(self.plan.key_exprs, self.keys)
        first = self.plan.key_exprs[0]
        if self.part.lo is None and self.part.hi is not None:
            return sql.SQL("({} or {} is null)").format(self.part.of(first), first)
        return self.part.of(first)

    @property
    def is_whole(self) -> bool:
        """All of the source is under verification, at once."""
        return self.keys is None and self.part == ALL

    def settled(self) -> sql.Composed:
        """Legacy rows that the target ought to hold or the quarantine to know.

        In flight is a key and not a row: where one of two rows of a key changed since, the other waits for it.
        """
        return sql.SQL("{} and {} and not {} and {}").format(
            self.in_legacy(), self.plan.keyed, self.plan.excluded_sql, none_of(self.legacy_keys, self.in_flight)
        )

    def place_in_legacy(self) -> sql.Composed:
        """Where a legacy row is, as an expression; conservation must have been counted."""
        return sql.SQL(
            "case when {} then 'excluded' when not ({}) then 'absent' when {} then 'in_flight' when {} then 'stale'"
            " when {} then 'absent' when {} then 'missing' else 'current' end"
        ).format(
            self.plan.excluded_sql, self.plan.keyed,
            *(among(self.legacy_keys, keys) for keys in (self.in_flight, self.failed_present, self.failed_absent)),
            among(self.legacy_keys, self.missing),
        )  # fmt: skip

    def is_among(self, keys: list[Key]) -> sql.Composable:
        """Whether a legacy row has one of these keys."""
        return among(self.legacy_keys, keys)

    def find_in_flight(self, legacy: Connection) -> None:
        """Find the keys that changed after the fence, in the caller's snapshot."""
        self.in_flight = self._keys_where(legacy, self.after_fence)

    def keys_elsewhere_than(self, legacy: Connection, place: RowState) -> list[Key]:
        """The keys of rows that are not in this place."""
        return self._keys_where(legacy, sql.SQL("{} <> {}").format(self.place_in_legacy(), sql.Literal(place)))

    def _keys_where(self, legacy: Connection, condition: sql.Composable) -> list[Key]:
        query = sql.SQL("select distinct {} from {} where {} and {} and {}").format(
            sql.SQL(", ").join(self.legacy_keys), self.plan.relations, self.in_legacy(), self.plan.keyed, condition
        )
        return [tuple(row) for row in legacy.execute(query).fetchall()]

    # --- target --------------------------------------------------------------------------------------------

    @property
    def key_columns(self) -> list[sql.Composable]:
        return key_columns(self.plan.key_columns)

    @property
    def stored_keys(self) -> list[sql.Composed]:
        return key_parts(self.key_columns)

    def in_target(self) -> sql.Composable:
        """Live target rows of this source under verification; rows born natively have no legacy key."""
        rows = self.rows_in_target()
        return sql.SQL("{} and not {}").format(rows, self.is_marked()) if self.has_marked else rows

    def is_marked(self, row: str | sql.Composable | None = None) -> sql.Composable:
        """Whether a target row, of the relation or an alias of it, is marked as deleted."""
        # Named in full: within the subquery a bare name could be a column of the tombstones.
        key = record_key(key_columns(self.plan.key_columns, row or self.relation))
        return is_any_marked(self.plan.entity, self.plan.source, key)

    def place_in_target(self, gone: Sequence[Key]) -> sql.Composed:
        """Where a live row of the target is, as an expression."""
        return sql.SQL(
            "case when {} then 'in_flight' when {} then 'stale' when {} then 'gone' else 'current' end"
        ).format(*(among(self.stored_keys, keys) for keys in (self.in_flight, self.failed_present, gone)))

    def rows_in_target(self) -> sql.Composable:
        """The source's rows in the target, with those that are marked as deleted."""
        own = belongs_to(self.source)
        if self.is_whole:
            return own
        mine = self.part.of(self.key_columns[0]) if self.keys is None else one_of(self.key_columns, self.keys)
        return sql.SQL("{} and {}").format(own, mine)

    def of_source(self) -> sql.Composable:
        """The target's rows of this source, with native ones where the entity has no other source."""
        return of_source(self.source)

    def without(self, keys: list[Key]) -> sql.Composable:
        """The condition that a target row has none of these keys."""
        return none_of(self.stored_keys, keys)

    def find_failed(self, target: Connection, known: Known | None = None) -> None:
        """Find the keys in quarantine, split by whether the target has an older version of the row; and whether any
        row is marked as deleted."""
        if known is None:
            make_room(target)  # for the pass that follows
            with together(target) as trip:
                known = ask_known(trip, self.plan.entity, self.plan.source)
        marked, failed = known
        self.has_marked = marked.value
        wanted = None if self.keys is None else set(self.keys)
        self.fail(
            (key for key in failed.value if (wanted is None or key in wanted) and first_part(key) in self.part), target
        )

    def fail(self, keys: Iterable[Key], target: Connection) -> None:
        """Count these keys as failed records; the target itself is asked which of them it holds, live."""
        known = {*self.failed_present, *self.failed_absent}
        new = [key for key in keys if key not in known]
        there = self._stored(target, new)
        for key in new:
            # What is marked as deleted is no older version of a row that is back.
            (self.failed_present if key in there else self.failed_absent).append(key)

    def _stored(self, target: Connection, keys: list[Key]) -> set[Key]:
        if not keys:
            return set()
        query = sql.SQL("select {} from {} where {} and {}").format(
            sql.SQL(", ").join(self.stored_keys), self.relation, self.in_target(), among(self.stored_keys, keys)
        )
        return {tuple(row) for row in target.execute(query).fetchall()}
