"""List departures: what of one entity only the target still has, once per run; above the guard nothing may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.compare.early_count import is_still_valid, state_if_counted, still_valid
from hybrid_sync.compare.scope import Scope, changed_after
from hybrid_sync.deletes import candidates as deletes
from hybrid_sync.deletes import guard as delete_guard
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, answer, one_trip, snapshot, together, transaction
from hybrid_sync.recorded.checks import Deletes
from hybrid_sync.runs import store
from hybrid_sync.runs.store import EntityRecord, RunRecord
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.world import World
from hybrid_sync.write.batches import entering
from hybrid_sync.write.tombstones import ask_marked


def without_departures(
    world: World, run: RunRecord, records: Mapping[str, EntityRecord], target: Connection
) -> list[str]:
    """Record at once that nothing has departed from these entities, and return them.

    They are those where this run has looked at both sides and found no candidate, and where nothing waits in
    quarantine.
    """
    looks = {name: _look(world, name, record) for name, record in records.items() if record.deletes is None}
    if not any(looks.values()):
        return []
    with one_trip(target, "target", writes=True) as trip:
        trip.ask(entering(run.run_id, None))
        none = {name: trip.ask(deletes.none_listed(run.run_id, name, look)) for name, look in looks.items() if look}
    return [name for name, recorded in none.items() if recorded.value]


def _look(world: World, name: str, record: EntityRecord) -> sql.Composable | None:
    """The condition that keys need not be compared: nobody asks, a reconcile has, or planning saw what still holds."""
    if world.catalog[name].on_delete.policy == "ignore" or _reconciled(record):
        return sql.SQL("true")
    return None if record.seen is None else is_still_valid(world.catalog, name)


def _reconciled(record: EntityRecord) -> bool:
    return record.reconcile is not None and bool(record.reconcile.get("done"))


def list_departures(
    world: World, run: RunRecord, record: EntityRecord, name: str, legacy: Connection, target: Connection
) -> None:
    """Record the entity's candidates and what the guard says of their number.

    A reconcile of this run has listed them already, all but those whose records wait in quarantine.
    """
    entity = world.catalog[name]
    looked = _reconciled(record) or _seen(world, run.run_id, record, name, target)
    compare = entity.on_delete.policy != "ignore" and not looked
    plan = plan_of(world, run.run_id, name, legacy, target)
    found = _found(run, record, entity, plan, legacy, target, compare=compare)
    with transaction(target, "target"):
        counts = list_found(run, entity, plan, found, target)
        if counts is None:
            return
        with together(target, commits=True) as trip:
            trip.ask(store.part(run.run_id, name, deletes=counts))
    failpoint("delete.listed", target, legacy)


def list_found(
    run: RunRecord, entity: Entity, plan: EntityPlan, found: Mapping[str, deletes.Candidates], target: Connection
) -> dict[str, Any] | None:
    """List what was found, within the caller's transaction: the counts for the entity's record; None where another
    delivery has listed it."""
    place = (run.run_id, entity.entity)
    with together(target) as trip:
        trip.ask(entering(run.run_id, None))
        begun = trip.ask(store.begin_deletes(*place))
        already = trip.ask(deletes.listed(*place))
        counted = deletes.counts(trip, *place)
    if not begun.value:
        return None
    listed = already.value
    present = listed + sum(len(part.present) for part in found.values())
    # One source that looks wrong keeps the rows of all: they come from the same legacy.
    guarded = present if present and _guarded(run, entity, plan, found, target) else 0
    counts: dict[str, Any] = Deletes.some(candidates=present, guarded=guarded, done=bool(guarded))
    if guarded:
        # Their number says it all; an emptied legacy would make the list as long as the table.
        store.record_part(target, *place, failure={"code": "delete_guard", "text": _sentence(entity.entity, present)})
        found = {}
    for source, part in found.items():
        deletes.list_candidates(target, *place, source, part.keys)
    if entity.on_delete.policy == "ignore":
        deletes.keep_all(target, *place)
    if not guarded and not listed and not any(part.keys for part in found.values()):
        # Nothing will be paged through, so the end is recorded at once.
        counts |= {**counted(), "done": True}
    return counts


def _seen(world: World, run_id: str, record: EntityRecord, name: str, target: Connection) -> bool:
    """Whether planning found the same keys on both sides, and nothing of them was written since."""
    if record.seen is None:
        return False
    with transaction(target, "target", read_only=True):
        state = answer(target, state_if_counted(world.catalog, run_id, name))
    return still_valid(record.seen, state) is not None


def _found(
    run: RunRecord, record: EntityRecord, entity: Entity, plan: EntityPlan, legacy: Connection, target: Connection,
    *, compare: bool,
) -> dict[str, deletes.Candidates]:  # fmt: skip
    found: dict[str, deletes.Candidates] = {}
    # The target's snapshot first: what legacy commits in between counts as in flight, never as gone.
    with snapshot(target, "target"), snapshot(legacy, "legacy", path=entity.legacy_search_path):
        if entity.detect == "timestamp":
            target.execute("select 1")  # legacy has to be asked how it marks what has changed
        for source, definition in entity.sources.items():
            keys = None if record.requested is None else record.requested.get(source, [])
            if keys == []:
                continue
            after_fence = changed_after(entity, definition, _carried(run, record), legacy)
            scope = Scope(plan.sources[source], definition, table(entity.target), after_fence, keys)
            found[source] = deletes.candidates(scope, legacy, target, compare=compare)
    return found


def _carried(run: RunRecord, record: EntityRecord) -> Fence:
    """The fence up to which everything of legacy has been carried over."""
    detection = record.detection
    if detection is not None and detection.mode == "none" and detection.fence is not None:
        return detection.fence
    return run.fence


def _guarded(
    run: RunRecord, entity: Entity, plan: EntityPlan, found: Mapping[str, deletes.Candidates], target: Connection
) -> bool:
    """Whether too many rows of any source would be deleted."""
    policy = entity.on_delete
    if policy.policy == "ignore" or entity.entity in run.request.allow_deletes:
        return False
    delete_guard.one_at_a_time(target, entity.entity)
    for name, source in entity.sources.items():
        keys = found[name].present if name in found else []
        scope = Scope(plan.sources[name], source, table(entity.target), sql.SQL("false"), None)
        scope.has_marked = answer(target, ask_marked(entity.entity, name))
        if delete_guard.guards(target, policy, scope, run.run_id, keys):
            return True
    return False


def _sentence(name: str, candidates: int) -> str:
    return (
        f"{candidates} rows of {name} have gone from legacy or left their rule, more than its guard lets go in a week,"
        f" so all are kept. If that is right, allow it: hybrid-sync sync --profile weekly --allow-deletes {name}"
    )
