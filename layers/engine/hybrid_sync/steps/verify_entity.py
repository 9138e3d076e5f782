"""Verify entity: rows, references and money add up by key and to the cent; then, and only then, the fence moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_sync.catalog.models import Entity
from hybrid_sync.compare import identity, proof
from hybrid_sync.compare.early_count import state_if_counted, still_valid
from hybrid_sync.compare.origin import ask_our_xids
from hybrid_sync.compare.parts import bytes_of
from hybrid_sync.contracts import EntityTask, EntityVerdict, Key
from hybrid_sync.errors import EntityIncomplete, StructureMismatch
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy.changes import Detection
from hybrid_sync.legacy.fence import legacy_when_needed
from hybrid_sync.postgres import Connection, one_trip, together, transaction
from hybrid_sync.runs.fences import advance_fence
from hybrid_sync.runs.store import (
    EntityRecord,
    RunRecord,
    ask_entity,
    ask_run,
    record_verdict,
    require_complete,
)  # fmt: skip
from hybrid_sync.schema.legacy_structure import ask_types_now, digest_of_types
from hybrid_sync.schema.plans import table_in
from hybrid_sync.schema.target_structure import ask_identity
from hybrid_sync.session import Answer, Trip
from hybrid_sync.steps.count_entity import Sides, VerificationResult, count_entity
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.world import World

_WHOLE = ("fence", "full", "timestamp")
"""Ways of reading that saw everything since the stored fence, so that it may move."""


def verify_entity(world: World, task: EntityTask) -> EntityVerdict:
    """Record what the entity's rows, references and money add up to; advance its fence when they do.

    A large entity is gone through part by part: a call whose time is over says `more`, and the next one goes on.
    Raises EntityIncomplete when a planned batch is missing, or another step of the entity failed.
    """
    with legacy_when_needed(world.connect_legacy) as legacy_of, world.connect_target() as target:
        with one_trip(target, "target", read_only=True) as trip:
            trip.ask(same_version(world, task.run_id))
            asked_run = trip.ask(ask_run(task.run_id))
            asked_entity = trip.ask(ask_entity(task.run_id, task.entity))
            stored = trip.ask(bytes_of(world.catalog[task.entity].target))
            state = trip.ask(state_if_counted(world.catalog, task.run_id, task.entity))
            table = trip.ask(ask_identity(world.catalog[task.entity]))
            known = {s: trip.ask(identity.ask_known(task.entity, s)) for s in world.catalog[task.entity].sources}
            ours = trip.ask(ask_our_xids(world.catalog, task.run_id, task.entity))
        run, record = asked_run.value, asked_entity.value
        require_complete(task.entity, record)
        _require_steps(task, record)
        _require_same_table(record, table.value)
        beside = _beside(target, world.catalog[task.entity], ours.value)
        seen = None if beside else still_valid(record.seen, state.value)
        sides = [target]
        if seen is None:
            legacy = legacy_of(run.fence)
            sides.append(legacy)
            plan = plan_of(world, task.run_id, task.entity, legacy, target, run.entities)
            entity = world.catalog[task.entity]
            _require_same_types(entity, record, legacy)
            both = Sides(world.catalog, plan, run, record, entity, legacy, target)
            if beside:
                from hybrid_sync.steps.tell_beside import tell_beside  # seldom

                tell_beside(both, beside)
            counted = count_entity(both, stored.value)
            if counted is None:
                return EntityVerdict(run_id=task.run_id, entity=task.entity, more=True)
            found = counted
        else:
            found = VerificationResult(True, seen.counted, seen.keys, seen.definition)
        failpoint("verify.compared", *sides)
        verified = found.ok and _reconciled(record) and not _guarded(record) and not found.wrong
        with transaction(target, "target"):
            for source, keys in found.keys.items():
                identity.record(target, task.run_id, task.entity, source, keys, known[source].value)
            if found.wrong:
                proof.refuse(target, task.run_id, world.catalog, task.entity, found.wrong)
            failpoint("verify.recording", *sides)
            with together(target, commits=True) as trip:
                record_verdict(
                    trip, task.run_id, task.entity, verified=verified, counted=found.counted,
                    asked=[row.as_json() for row in found.asked],
                )  # fmt: skip
                advanced = _advance(trip, run, task, record, found) if verified else None
        failpoint("verify.committed", *sides)
    return EntityVerdict(
        run_id=task.run_id, entity=task.entity, complete=True, conserved=verified,
        fence_advanced=advanced is not None and advanced.value,
    )  # fmt: skip


def _beside(target: Connection, entity: Entity, xids: Sequence[str]) -> Mapping[str, Sequence[Key]]:
    """By source, rows that a run's transactions may have changed without writing them."""
    if not xids:
        return {}
    from hybrid_sync.compare.beside import written_beside  # only where the target has triggers

    with transaction(target, "target", read_only=True):
        return written_beside(target, entity, xids)


def _require_steps(task: EntityTask, record: EntityRecord) -> None:
    """A reconcile that began has ended, and no step of the entity has failed."""
    unfinished = record.reconcile is not None and not record.reconcile.get("done")
    if unfinished or record.status == "failed":
        raise EntityIncomplete(
            f"A step of entity {task.entity} did not end.", "See the run's failures, then start it again."
        )


def _require_same_table(record: EntityRecord, now: str) -> None:
    """The table that was written is the one that is there: nobody has made it, or a column of it, anew meanwhile."""
    if record.as_planned is not None and table_in(record.as_planned.definition) != now:
        raise StructureMismatch(
            "The target table, or a column of it, was made anew or retyped while the run was at work: what had been"
            " written before is gone, or reads otherwise.",
            "Start the run again: it reads all rows.",
        )


def _require_same_types(entity: Entity, record: EntityRecord, legacy: Connection) -> None:
    """The types by which rows were understood are those of now: whoever carried them, with whatever plan of this run,
    has met no others."""
    if record.as_planned is None:
        return
    with one_trip(legacy, "legacy", read_only=True, path=entity.legacy_search_path) as trip:
        now = {name: trip.ask(ask_types_now(entity, name)) for name in entity.sources}
    if digest_of_types({name: types.value for name, types in now.items()}) != record.as_planned.types:
        raise StructureMismatch(
            "A column of legacy was given another type while the run was at work: what was read since may have been"
            " taken for something else.",
            "Start the run again: it reads all rows.",
        )


def _reconciled(record: EntityRecord) -> bool:
    """No difference that comes from legacy is left, and none of money; what else was changed natively does not hold the
    fence."""
    found = record.reconcile
    return found is None or not (found["persisted"] or found.get("money_left"))


def _guarded(record: EntityRecord) -> bool:
    """More rows have departed than the delete guard lets go: a person has to look first."""
    return bool(record.deletes and record.deletes.get("guarded"))


def _advance(
    trip: Trip, run: RunRecord, task: EntityTask, record: EntityRecord, found: VerificationResult
) -> Answer[bool] | None:  # fmt: skip
    detection: Detection | None = record.detection
    if detection is None or detection.mode not in _WHOLE or record.fence_version is None:
        return None
    # What changed since the plan was made (a column of legacy with another default touches no row) is the next run's.
    definition = record.as_planned.definition if record.as_planned is not None else found.definition
    return trip.ask(advance_fence(task.run_id, task.entity, run.fence, definition, record.fence_version))
