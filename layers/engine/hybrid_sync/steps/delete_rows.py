"""Delete rows: the candidates of one entity, page by page, each looked at again in legacy under its bucket lock."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from hybrid_sync.contracts import Key
from hybrid_sync.deletes import candidates as deletes
from hybrid_sync.deletes import unlink
from hybrid_sync.deletes.remove import Outcome, Removal
from hybrid_sync.failpoints import failpoint
from hybrid_sync.keys import bucket_numbers
from hybrid_sync.postgres import Connection, together, transaction
from hybrid_sync.recorded.checks import MANAGED
from hybrid_sync.runs import store
from hybrid_sync.runs.store import RunRecord
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.timing import timed
from hybrid_sync.world import World
from hybrid_sync.write.batches import lock_buckets, require_free, require_running, resolve_failed

if TYPE_CHECKING:
    from hybrid_sync.write.around import Around

_PAGE = 1_000


class EntityDeletes:
    """The deletes of one entity in one run; `counts` is what the run has recorded of them so far.

    Each page is a transaction of its own, or (`within`) all of it a part of the caller's.
    """

    def __init__(
        self, world: World, run: RunRecord, name: str, counts: dict[str, Any], legacy: Connection, target: Connection,
        *, within: bool = False,
    ) -> None:  # fmt: skip
        self._catalog = world.catalog
        self._entity = world.catalog[name]
        self._run = run
        self._counts = dict(counts)
        self._legacy = legacy
        self._target = target
        self._within = within
        self._place = (run.run_id, name)
        self._plan = plan_of(world, run.run_id, name, legacy, target)

    # --- rows that go together -----------------------------------------------------------------------------------

    def clear_references(self, pages: int) -> int:
        """Clear deferred references between rows that both go; how many of the pages are left."""
        entities = self._run.entities
        for reference in unlink.deferred_references(self._catalog, self._entity.entity, entities):
            while pages > 0 and (keys := self._referring_keys(reference)):
                self._clear(reference, keys)
                pages -= 1
        return pages

    def _transaction(self) -> AbstractContextManager[object]:
        return nullcontext() if self._within else transaction(self._target, "target")

    def _referring_keys(self, reference: unlink.DeferredReference) -> list[Key]:
        with self._transaction():
            return unlink.referring_keys(self._target, self._catalog, self._run.run_id, reference, _PAGE)

    def _clear(self, reference: unlink.DeferredReference, keys: list[Key]) -> None:
        with self._transaction():
            departed = self._departed(reference.source, keys)
            batch, around = uuid.uuid4(), self._around()
            cleared = unlink.unlink(self._target, self._catalog, self._run.run_id, batch, reference, departed)
            if around is not None:
                around.record(self._run.run_id, batch, cleared)
            self._settle(reference.source, [Outcome(key, "back") for key in keys if key not in departed], departed)

    # --- page by page --------------------------------------------------------------------------------------------

    def remove(self, pages: int) -> int:
        """Remove what has departed by the entity's policy; how many of the pages are left."""
        while True:
            for source in self._entity.sources:
                while pages > 0 and (keys := self._next(source)):
                    self._page(source, keys)
                    pages -= 1
            if pages <= 0 or not self._again():
                break
        if pages > 0:
            self._end()
        return pages

    def _next(self, source: str) -> list[Key]:
        with self._transaction():
            return deletes.page(self._target, *self._place, source, _PAGE)

    def _page(self, source: str, keys: list[Key]) -> None:
        target, entity = self._target, self._entity
        with self._transaction():
            departed = self._departed(source, keys)
            removal = Removal(target, self._catalog, entity, source, self._plan.table, self._run.run_id)
            with timed("delete", entity.entity):
                outcomes = self._removed(removal, sorted(departed))
            outcomes += [Outcome(key, "back") for key in keys if key not in departed]
            self._settle(source, outcomes, departed)
            # There is no legacy row left that could be repaired.
            resolve_failed(target, self._run.run_id, entity.entity, source, departed)
            failpoint("delete.before_commit", target, self._legacy)
        if not self._within:
            failpoint("delete.committed", target, self._legacy)

    def _removed(self, removal: Removal, keys: list[Key]) -> list[Outcome]:
        around = self._around()
        outcomes = removal.remove(keys)
        if around is not None:
            marked = sum(one.outcome == "marked" for one in outcomes)
            around.record(self._run.run_id, removal.batch.batch_id, marked)
        return outcomes

    def _around(self) -> Around | None:
        """For what triggers write around what follows, where the table has some."""
        if not self._plan.table.writes_beside:
            return None
        from hybrid_sync.write.around import Around  # only where a write may set off others

        return Around(self._target, self._catalog, self._entity.target)

    def _departed(self, source: str, keys: list[Key]) -> dict[Key, deletes.Why]:
        """Lock the keys' buckets and ask legacy again; `keys` becomes those that no other delivery has handled."""
        target, entity = self._target, self._entity
        require_running(target, self._run.run_id)
        require_free(target, entity.entity)
        lock_buckets(target, entity.entity, source, bucket_numbers(keys))
        failpoint("delete.locked", target, self._legacy)
        keys[:] = deletes.still_open(target, *self._place, source, keys)
        with transaction(self._legacy, "legacy", read_only=True, path=entity.legacy_search_path):
            found = deletes.departed(self._legacy, self._plan.sources[source], entity.sources[source], keys)
        failpoint("delete.checked", target, self._legacy)
        return found

    def _settle(self, source: str, outcomes: list[Outcome], departed: dict[Key, deletes.Why]) -> None:
        deletes.settle(self._target, *self._place, source, outcomes, departed)

    # --- the end -------------------------------------------------------------------------------------------------

    def _again(self) -> bool:
        """Look again at rows that were kept for a row that may be gone by now; False when the last round removed
        none."""
        with self._transaction():
            with together(self._target) as trip:
                counted = deletes.counts(trip, *self._place)
            deleted = counted()["deleted"]
            if deleted == self._counts.get("deleted", 0) or not deletes.reopen(self._target, *self._place, MANAGED):
                return False
            self._counts["deleted"] = deleted
            store.record_part(self._target, *self._place, deletes=self._counts)
            return True

    def _end(self) -> None:
        with self._transaction():
            with together(self._target) as trip:
                counted = deletes.counts(trip, *self._place)
            with together(self._target, commits=not self._within) as trip:
                trip.ask(store.part(*self._place, deletes={**self._counts, **counted(), "done": True}))
