"""What both databases hold of one entity, source by source: rows, references and money."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.compare import conservation, identity, money, one_pass, references
from hybrid_sync.compare.canonical import Canonical
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.compare.scope import Scope
from hybrid_sync.compare.side import Pass
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, Question, answer
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.recorded.money import MoneyLine


def ask_native(entity: Entity) -> Question[int]:
    """How many rows of the target were born there."""
    key = next(iter(next(iter(entity.sources.values())).key))
    query = sql.SQL("select count(*) from {} where {} is null").format(table(entity.target), sql.Identifier(key))
    return Question(query, None, lambda found: int(found.fetchall()[0][0]))


@dataclass
class EntityCount:
    """Counted under snapshots of both sides, of which the target's is the older."""

    catalog: Catalog
    entity: Entity
    legacy: Connection
    target: Connection
    total: Conservation = field(default_factory=Conservation.nothing)
    keys: dict[str, identity.KeyDefects] = field(default_factory=dict)
    """By source: what its keys are not."""

    def __post_init__(self) -> None:
        self.references = references.references_of(self.entity)
        self.ours = {m.column: money.TwoWays() for m in self.entity.money}
        self.theirs = {m.column: money.TwoWays() for m in self.entity.money}
        self._native: int | None = None

    @property
    def money(self) -> list[MoneyLine]:
        """A line per money column, currency and status."""
        columns = self.entity.money
        return [line for m in columns for line in money.lines(m, self.ours[m.column], self.theirs[m.column])]

    def add(self, scope: Scope, form: Canonical | None = None) -> bool:
        """Count one source, whose failed records are known; one pass over each side is mostly enough.

        With a `form` the answer says whether both sides' rows are equal in it, as the same pass has seen.
        """
        if scope.keys is None:
            for one in (form, None) if form is not None else (None,):
                both = one_pass.over_both(scope, self.entity.money, self.legacy, self.target, form=one)
                if both is not None and self.agree(scope, *both):
                    return one is not None
        self._closely(scope)
        return False

    def agrees(self, scope: Scope, ours: Pass) -> bool:
        """Pass over the target after legacy, and count the source when both have the same keys."""
        scope.in_flight = ours.in_flight
        return self.agree(scope, ours, one_pass.over_target(scope, self.entity.money, self.target))

    def agree(
        self, scope: Scope, ours: Pass, theirs: Pass, stored: references.Stored | None = None, lost: int | None = None
    ) -> bool:  # fmt: skip
        """Count the source when both passes have seen the same; `stored` is what the target was asked before, and
        `lost`, what joins lose, follows from what legacy was asked before."""
        if not one_pass.agree(scope, ours, theirs):
            return False
        live = sum(theirs.places[place] for place in (RowState.current, RowState.stale, RowState.in_flight))
        places = {place.value: ours.places.get(place, 0) for place in RowState}
        if lost is None:
            lost = conservation.lost_in_joins(scope, self.legacy, sum(places.values()), doubled=False)
        conservation.agreed(self.total, scope, places, ours.without_key, (live, theirs.places["marked"]), lost)
        self.total.erased += conservation.erased(scope, self.legacy)
        looked = (ours.carried, theirs.carried)
        references.count(self.references, self.catalog, scope, [], self.legacy, self.target, looked, stored)
        for i, m in enumerate(self.entity.money):
            for side, sums in ((self.ours, ours.money[i]), (self.theirs, theirs.money[i])):
                side[m.column].add(sums[0], sums[1].sums())
        self._find(scope, identity.KeyDefects({}, (), ours.without_key if scope.keys is None else None))
        if len(self.entity.sources) == 1 and scope.is_whole:
            self._native = theirs.places["native"]
        return True

    def _closely(self, scope: Scope) -> None:
        """Each question by itself: which keys differ, which are shared, where rows cannot be computed."""
        legacy, target = self.legacy, self.target
        scope.find_in_flight(legacy)
        counted = conservation.count(self.total, scope, legacy, target)
        self.total.erased += conservation.erased(scope, legacy)
        references.count(self.references, self.catalog, scope, [*scope.missing, *counted.gone], legacy, target)
        for m in self.entity.money:
            money.add_up(m, scope, counted.gone, (self.ours[m.column], legacy), (self.theirs[m.column], target))
        present = set(scope.failed_present).intersection(counted.doubled)
        null_keys = counted.null_keys if scope.keys is None else None
        self._find(scope, identity.KeyDefects(counted.doubled, present, null_keys))

    def _find(self, scope: Scope, found: identity.KeyDefects) -> None:
        """Of a source in parts, with what the parts before were found not to be."""
        before = self.keys.get(scope.plan.source)
        self.keys[scope.plan.source] = found if before is None else before.plus(found)

    def count_native(self) -> None:
        """Rows of the target that were born there, once all sources are counted."""
        self.total.native = answer(self.target, ask_native(self.entity)) if self._native is None else self._native

    @property
    def ok(self) -> bool:
        """Rows, references and money add up; money that failed records explain is not held against the entity."""
        money_ok = all(line.equal for line in self.money)
        return self.total.adds_up and money_ok and all(reference.sound for reference in self.references.values())

    def as_json(self) -> dict[str, Any]:
        """As the run's record keeps it."""
        return {
            "conservation": self.total.as_json(), "money": [line.as_json() for line in self.money],
            "references": [reference.as_json() for reference in self.references.values()],
        }  # fmt: skip
