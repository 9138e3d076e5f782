"""Propagate deletes: what legacy no longer has, or excludes by now, follows its entity's policy in the target.

Children before their parents, so over the waves from the last to the first; each page of keys is a transaction of its
own, in which every candidate is looked at again in legacy under its bucket lock.
"""

from __future__ import annotations

from typing import Any

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import DeleteResult, DeleteTask, Key, Profile, RunFailure
from hybrid_sync.errors import RunNotRunning, SyncError
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy import fence
from hybrid_sync.legacy.changes import BUCKET
from hybrid_sync.postgres import Connection, snapshot, transaction
from hybrid_sync.runs import store
from hybrid_sync.runs.store import EntityRecord, RunRecord
from hybrid_sync.target.batches import lock_buckets, require_free, require_running, resolve_failed
from hybrid_sync.target.plans import EntityPlan, plan_for
from hybrid_sync.target.referring import MANAGED
from hybrid_sync.target.remove import Outcome, Removal
from hybrid_sync.target.structure import table
from hybrid_sync.verify import deletes
from hybrid_sync.verify.scope import Scope
from hybrid_sync.world import World

_PAGE = 1_000
_PAGES_PER_CALL = 100
_UNBOUNDED = ("range",)
"""Ways of reading that name no keys which could be missing."""


def propagate_deletes(world: World, task: DeleteTask) -> DeleteResult:
    """Deal with up to 100,000 candidates per call; safe to repeat.

    An entity that cannot be worked on (held, changed structure) is recorded as failed and costs no other one.
    Raises RunNotRunning, or a transient SyncError when a database is away or busy.
    """
    pages = _PAGES_PER_CALL
    with world.connect_legacy() as legacy, world.connect_target() as target:
        with transaction(target, "target"):
            run = store.read_run(target, task.run_id)
        if run.request.profile is not Profile.verify or run.request.repair:
            for entity in (name for wave in reversed(run.waves) for name in wave):
                pages = _one_entity(world, run, entity, legacy, target, pages)
                if pages <= 0:
                    return DeleteResult(run_id=task.run_id, more=True)
    return DeleteResult(run_id=task.run_id, more=False)


def _one_entity(
    world: World, run: RunRecord, name: str, legacy: Connection, target: Connection, pages: int
) -> int:  # fmt: skip
    """Work on one entity; how many pages of the call are left."""
    try:
        with transaction(target, "target"):
            record = store.read_entity(target, run.run_id, name)
        if record.status == "failed" or record.detection is None or record.detection.mode in _UNBOUNDED:
            return pages
        return _Deletes(world, run, record, name, legacy, target).work(pages)
    except RunNotRunning:
        raise
    except SyncError as error:
        if error.transient:
            raise
        failure = RunFailure(
            run_id=run.run_id, entity=name, state="PropagateDeletes", error=error.code, cause=str(error)
        )
        with transaction(target, "target"):
            store.record_failure(target, failure)
        return pages


class _Deletes:
    """The deletes of one entity in one run."""

    def __init__(
        self, world: World, run: RunRecord, record: EntityRecord, name: str, legacy: Connection, target: Connection
    ) -> None:
        self._world = world
        self._run = run
        self._record = record
        self._entity: Entity = world.catalog[name]
        self._legacy = legacy
        self._target = target
        self._place = (run.run_id, name)
        self._plan: EntityPlan = plan_for(run.run_id, name, world.catalog, legacy, target)

    def work(self, pages: int) -> int:
        told = self._record.deletes if self._record.deletes is not None else self._begin()
        if told["done"]:
            return pages
        while True:
            for source in self._entity.sources:
                while pages > 0 and (keys := self._next(source)):
                    self._page(source, keys)
                    pages -= 1
            if pages <= 0:
                return 0
            if not self._again(told):
                self._end(told)
                return pages

    # --- candidates ----------------------------------------------------------------------------------------------

    def _begin(self) -> dict[str, Any]:
        """Find the candidates, once; stop above the guard."""
        reconciled = self._record.reconcile is not None and bool(self._record.reconcile.get("done"))
        compare = self._entity.on_delete.policy != "ignore" and not reconciled
        found = self._found(compare=compare)
        absent = {(source, key) for source, part in found.items() for key in part.absent}
        with transaction(self._target, "target"):
            for source, part in found.items():
                deletes.keep_in_mind(self._target, *self._place, source, part.departures)
            if self._entity.on_delete.policy == "ignore":
                deletes.leave_alone(self._target, *self._place)
            present = len(deletes.listed(self._target, *self._place) - absent)
            told: dict[str, Any] = {"candidates": present, "guarded": self._guarded(present), "done": False}
            if told["guarded"]:
                told["done"] = True
                store.record_guard(self._target, *self._place, self._sentence(present))
            store.record_deletes(self._target, *self._place, told)
        failpoint("delete.listed", self._target, self._legacy)
        return told

    def _found(self, *, compare: bool) -> dict[str, deletes.Candidates]:
        found: dict[str, deletes.Candidates] = {}
        # The target's snapshot first: what legacy commits in between counts as in flight, never as gone.
        with snapshot(self._target, "target"), snapshot(self._legacy, "legacy"):
            self._target.execute("select 1")
            for source, definition in self._entity.sources.items():
                keys = None if self._record.requested is None else self._record.requested.get(source, [])
                if keys == []:
                    continue
                scope = Scope(
                    self._plan.sources[source], definition, table(self._entity.target), self._carried(), keys
                )  # fmt: skip
                found[source] = deletes.candidates(scope, self._legacy, self._target, compare=compare)
        return found

    def _carried(self) -> fence.Fence:
        detection = self._record.detection
        if detection is not None and detection.mode == "none" and detection.fence is not None:
            return detection.fence
        return self._run.fence

    def _guarded(self, candidates: int) -> int:
        """How many rows the guard keeps: all of them, or none."""
        policy = self._entity.on_delete
        if policy.policy == "ignore" or self._entity.entity in self._run.request.allow_deletes:
            return 0
        if candidates <= policy.max_rows:
            return 0
        source = next(iter(self._entity.sources.values()))
        row = self._target.execute(
            sql.SQL("select count(*) from {} where {} is not null").format(
                table(self._entity.target), sql.Identifier(next(iter(source.key)))
            )
        ).fetchone()
        return candidates if deletes.guarded(policy, candidates, int(row[0]) if row else 0) else 0

    def _sentence(self, candidates: int) -> str:
        name = self._entity.entity
        return (
            f"{candidates} rows of {name} have gone from legacy or left their rule, more than its guard lets go at"
            f" once, so all are kept. If that is right, allow it: hybrid-sync sync --allow-deletes {name}"
        )

    # --- page by page --------------------------------------------------------------------------------------------

    def _next(self, source: str) -> list[Key]:
        with transaction(self._target, "target"):
            return deletes.page(self._target, *self._place, source, _PAGE)

    def _page(self, source: str, keys: list[Key]) -> None:
        target = self._target
        with transaction(target, "target"):
            require_running(target, self._run.run_id)
            require_free(target, self._entity.entity)
            lock_buckets(target, self._entity.entity, source, sorted({key[0] // BUCKET for key in keys}))
            failpoint("delete.locked", target, self._legacy)
            still = deletes.still_open(target, *self._place, source, keys)
            departed = self._departed(source, still)
            failpoint("delete.checked", target, self._legacy)
            removal = Removal(
                target, self._world.catalog, self._entity, source, self._plan.table, self._run.run_id
            )  # fmt: skip
            outcomes = removal.remove(sorted(departed))
            outcomes += [Outcome(key, "back") for key in still if key not in departed]
            deletes.settle(target, *self._place, source, outcomes)
            # There is no legacy row left that could be repaired.
            resolve_failed(target, self._run.run_id, self._entity.entity, source, departed)
            failpoint("delete.before_commit", target, self._legacy)
        failpoint("delete.committed", target, self._legacy)

    def _departed(self, source: str, keys: list[Key]) -> set[Key]:
        with transaction(self._legacy, "legacy", read_only=True):
            fence.require_same(self._run.fence, fence.identity(self._legacy))
            return set(
                deletes.departed(self._legacy, self._plan.sources[source], self._entity.sources[source], keys)
            )  # fmt: skip

    # --- the end -------------------------------------------------------------------------------------------------

    def _again(self, told: dict[str, Any]) -> bool:
        """Take up again what was kept for a row that may have gone meanwhile; False when the last round got nowhere."""
        with transaction(self._target, "target"):
            deleted = deletes.counts(self._target, *self._place)["deleted"]
            if deleted == told.get("deleted", 0) or not deletes.reopen(self._target, *self._place, MANAGED):
                return False
            told["deleted"] = deleted
            store.record_deletes(self._target, *self._place, told)
            return True

    def _end(self, told: dict[str, Any]) -> None:
        with transaction(self._target, "target"):
            found = deletes.counts(self._target, *self._place)
            store.record_deletes(self._target, *self._place, {**told, **found, "done": True})
