"""Verify entity: rows, references and money add up by key and to the cent; then, and only then, the fence moves on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.place import table
from hybrid_sync.compare import identity, proof
from hybrid_sync.compare.asked import Asked, look_up, named_keys
from hybrid_sync.compare.entity_count import EntityCount
from hybrid_sync.compare.scope import Scope, changed_after
from hybrid_sync.compare.seen import state_if_seen, still
from hybrid_sync.contracts import EntityTask, EntityVerdict, Key
from hybrid_sync.errors import EntityIncomplete
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy import rows
from hybrid_sync.legacy.changes import Detection, changed
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, one_trip, snapshot, together, transaction
from hybrid_sync.runs.fences import advance_fence
from hybrid_sync.runs.store import (
    EntityRecord,
    RunRecord,
    ask_entity,
    ask_run,
    record_verdict,
    require_complete,
)  # fmt: skip
from hybrid_sync.schema.plans import EntityPlan, plan_for
from hybrid_sync.session import Answer, Trip
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.world import World

_WHOLE = ("fence", "full", "timestamp")
"""Ways of reading that saw everything since the stored fence, so that it may move."""


def verify_entity(world: World, task: EntityTask) -> EntityVerdict:
    """Record what the entity's rows, references and money add up to; advance its fence when they do.

    Raises EntityIncomplete when a planned batch is missing, or another step of the entity failed.
    """
    with world.connect_legacy() as legacy, world.connect_target() as target:
        with one_trip(target, "target", read_only=True) as trip:
            trip.ask(same_version(world, task.run_id))
            asked_run = trip.ask(ask_run(task.run_id))
            asked_entity = trip.ask(ask_entity(task.run_id, task.entity))
            state = trip.ask(state_if_seen(world.catalog, task.run_id, task.entity))
            known = {s: trip.ask(identity.ask_known(task.entity, s)) for s in world.catalog[task.entity].sources}
        run, record = asked_run.value, asked_entity.value
        require_complete(task.entity, record)
        _require_steps(task, record)
        seen = still(record.seen, state.value)
        if seen is None:
            plan = plan_for(task.run_id, task.entity, world.catalog, legacy, target)
            found = _compare(world.catalog, plan, run, record, task.entity, legacy, target)
        else:
            found = _Found(True, seen.counted, seen.keys, seen.definition)
        failpoint("verify.compared", target, legacy)
        verified = found.ok and _reconciled(record) and not _guarded(record) and not found.wrong
        with transaction(target, "target"):
            for source, keys in found.keys.items():
                identity.record(target, task.run_id, task.entity, source, keys, known[source].value)
            if found.wrong:
                proof.refuse(target, task.run_id, world.catalog, task.entity, found.wrong)
            failpoint("verify.recording", target, legacy)
            with together(target, commits=True) as trip:
                record_verdict(
                    trip, task.run_id, task.entity, verified=verified, counted=found.counted,
                    asked=[row.as_json() for row in found.asked],
                )  # fmt: skip
                advanced = _advance(trip, run, task, record, found) if verified else None
        failpoint("verify.committed", target, legacy)
    return EntityVerdict(
        run_id=task.run_id, entity=task.entity, complete=True, conserved=verified,
        fence_advanced=advanced is not None and advanced.value,
    )  # fmt: skip


@dataclass
class _Found:
    """What verification found of an entity."""

    ok: bool
    """Rows, references and money add up."""
    counted: dict[str, Any]
    keys: dict[str, identity.Found]
    """By source: what its keys are not."""
    definition: str
    """Of the catalog and the relations by which it was looked at."""
    asked: list[Asked] = field(default_factory=list)
    """The rows that the request names."""
    wrong: list[proof.WrongReference] = field(default_factory=list)
    """What the run wrote with a reference to another row than legacy names."""


def _require_steps(task: EntityTask, record: EntityRecord) -> None:
    """A reconcile that began has ended, and no step of the entity has failed."""
    unfinished = record.reconcile is not None and not record.reconcile.get("done")
    if unfinished or record.status == "failed":
        raise EntityIncomplete(
            f"A step of entity {task.entity} did not end.", "See the run's failures, then start it again."
        )


def _reconciled(record: EntityRecord) -> bool:
    """No difference that comes from legacy is left; what was changed natively does not hold the fence."""
    return record.reconcile is None or record.reconcile["persisted"] == 0


def _guarded(record: EntityRecord) -> bool:
    """More rows have departed than the delete guard lets go: a person has to look first."""
    return bool(record.deletes and record.deletes.get("guarded"))


def _compare(
    catalog: Catalog, plan: EntityPlan, run: RunRecord, record: EntityRecord, name: str, legacy: Connection,
    target: Connection,
) -> _Found:  # fmt: skip
    entity = catalog[name]
    count = EntityCount(catalog, entity, legacy, target)
    asked: list[Asked] = []
    wrong: list[proof.WrongReference] = []
    carried = _carried(run, record)
    # The target's snapshot first: what legacy commits in between counts as in flight, never as missing.
    with snapshot(target, "target"), snapshot(legacy, "legacy", path=entity.legacy_search_path):
        if entity.detect == "timestamp" or (record.detection is not None and record.detection.mode == "range"):
            target.execute("select 1")  # legacy has to be asked what to look for
        scopes: list[Scope] = []
        for source, definition in entity.sources.items():
            named = _changed(entity, source, record)
            keys = _scope_keys(plan, record, source, source_changed=named, legacy=legacy)
            if keys != []:
                after_fence = changed_after(entity, definition, carried, legacy)
                scopes.append(Scope(plan.sources[source], definition, table(entity.target), after_fence, keys))
                scopes[-1].find_failed(target)
        failpoint("verify.snapshots", target, legacy)
        for scope in scopes:
            source, after_fence = scope.plan.source, scope.after_fence
            count.add(scope)
            if record.reconcile is None:
                wrong += proof.wrong_references(run.run_id, catalog, entity, plan, source, after_fence, legacy, target)
            asked += look_up(entity, scope, named_keys(run.request.refs, entity, source), legacy, target)
        count.count_native()
    return _Found(count.ok, count.as_json(), count.keys, plan.definition_hash, asked, wrong)


def _changed(entity: Entity, source: str, record: EntityRecord) -> sql.Composable | None:
    """The condition of a request's date range; None in every other run."""
    if record.detection is None or record.detection.mode != "range":
        return None
    return changed(entity.sources[source], record.detection)


def _scope_keys(
    plan: EntityPlan,
    record: EntityRecord,
    source: str,
    *,
    source_changed: sql.Composable | None,
    legacy: Connection,
) -> list[Key] | None:
    """All keys (None) in a run of the whole entity; else those that were asked for."""
    if record.requested is not None:
        return record.requested.get(source, [])
    if source_changed is not None:
        return rows.keys(legacy, plan.sources[source], source_changed)
    return None


def _carried(run: RunRecord, record: EntityRecord) -> Fence:
    """What the target should hold: everything before the run's fence, or, where nothing was read, before the stored."""
    if record.detection is not None and record.detection.mode == "none" and record.detection.fence is not None:
        return record.detection.fence
    return run.fence


def _advance(
    trip: Trip, run: RunRecord, task: EntityTask, record: EntityRecord, found: _Found
) -> Answer[bool] | None:  # fmt: skip
    detection: Detection | None = record.detection
    if detection is None or detection.mode not in _WHOLE or record.fence_version is None:
        return None
    return trip.ask(advance_fence(task.run_id, task.entity, run.fence, found.definition, record.fence_version))
