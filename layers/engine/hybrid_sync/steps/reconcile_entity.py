"""Reconcile entity: compare every row of both sides by checksum, whatever any cursor says; plan what heals.

An entity of one segment per source is compared here; a larger one is cut into segments, which are compared side by
side and come back to `confirm_differences`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from hybrid_sync.catalog.models import Entity
from hybrid_sync.catalog.shape import AsPlanned
from hybrid_sync.compare import findings
from hybrid_sync.compare.reconcile import SEGMENT_ROWS, Equal, Reconcile, Segment
from hybrid_sync.contracts import BatchTask, EntityTask, Profile, ReconciledEntity, SegmentTask
from hybrid_sync.errors import EntityIncomplete
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy.changes import Detection
from hybrid_sync.legacy.fence import RESTARTED, Fence, keep_to, why_unusable
from hybrid_sync.postgres import Connection, one_trip
from hybrid_sync.runs.fences import StoredFence, ask_fence
from hybrid_sync.runs.store import (
    EntityRecord,
    RunRecord,
    ask_entity,
    ask_run,
    part,
    record_plan,
)
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.steps.plan_entity import cut, runs_of
from hybrid_sync.steps.plans import plan_of
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.world import World, both_sides
from hybrid_sync.write.batches import entering

_CARRIED = ("fence", "full", "timestamp")
"""Ways of reading that carried everything up to the run's own fence."""
_HEALED_AT_ONCE = 1_000
"""Keys in one heal batch: they are read by key, which is dearer than by range."""


def reconcile_entity(world: World, task: EntityTask, segment_rows: int = SEGMENT_ROWS) -> ReconciledEntity:
    """Compare the entity, or cut it into segments to compare; safe to repeat, it begins anew.

    Raises EntityIncomplete when there is nothing to compare against: it was never carried over under this
    definition and from this server.
    """
    with opened(world, task) as reconcile:
        segments = reconcile.segments(segment_rows)
        with one_trip(reconcile.target, "target", writes=True) as trip:
            epoch = findings.begin(trip, task.run_id, task.entity, len(segments))
        reconcile.cache_epoch = epoch.value
        failpoint("reconcile.begun", reconcile.legacy, reconcile.target)
        if len(segments) > len(reconcile.entity.sources):
            return _side_by_side(world, task, segments)
        if reconcile.whole and (equal := reconcile.equal(segments, world.id_cache)) is not None:
            return confirmed(world, reconcile, equal)
        suspected = sum(reconcile.compare(segment, world.id_cache) for segment in segments)
        return confirmed(world, reconcile, suspected=bool(suspected))


def _side_by_side(world: World, task: EntityTask, segments: list[Segment]) -> ReconciledEntity:
    tasks = [
        SegmentTask(run_id=task.run_id, entity=task.entity, n=s.n, source=s.source, lo=s.lo, hi=s.hi) for s in segments
    ]
    manifest = world.manifests.write_once(task.run_id, f"{task.entity}.segments", tasks)
    return ReconciledEntity(
        run_id=task.run_id, entity=task.entity, segments=manifest.batches, bucket=manifest.bucket,
        manifest=manifest.key,
    )  # fmt: skip


def confirmed(
    world: World, reconcile: Reconcile, equal: Equal | None = None, *, suspected: bool = True
) -> ReconciledEntity:
    """Look at every suspect again, record the result, and plan the batches that heal; or record that all is equal."""
    run_id, entity, target = reconcile.run_id, reconcile.entity.entity, reconcile.target
    if suspected and equal is None:
        reconcile.confirm()
    failpoint("reconcile.confirmed", reconcile.legacy, target)
    with one_trip(target, "target", writes=equal is not None) as trip:
        for segment, compared_rows in equal.compared if equal else ():
            reconcile.record(trip, segment, compared_rows)
        counts = {s: trip.ask(findings.heal_counts(run_id, entity, s)) for s in reconcile.entity.sources}
        compared = trip.ask(findings.ask_segments_done(run_id, entity))
        numbers = findings.numbers(trip, run_id, reconcile.entity)
    tasks = [
        BatchTask(
            run_id=run_id, entity=entity, source=source, lo=buckets[0], hi=buckets[-1] + 1,
            buckets=runs_of(buckets), purpose="heal", page_rows=_HEALED_AT_ONCE,
        )
        for source, counted in counts.items() for buckets in cut(counted.value, _HEALED_AT_ONCE)
    ]  # fmt: skip
    manifest = world.manifests.write_once(run_id, f"{entity}.heal", tasks)
    failpoint("reconcile.planned", reconcile.legacy, target)
    result = {**compared.value[0], **numbers(), "heal_batches": manifest.batches, "done": manifest.batches == 0}
    with one_trip(target, "target", writes=True) as trip:
        findings.record(trip, run_id, entity, result)
        if equal is not None:
            trip.ask(part(run_id, entity, seen=asdict(equal.seen)))
    return ReconciledEntity(
        run_id=run_id, entity=entity, batches=manifest.batches, bucket=manifest.bucket, manifest=manifest.key
    )


@contextmanager
def opened(world: World, task: EntityTask) -> Iterator[Reconcile]:
    """The entity's reconcile between both databases, as the run's fences bound it."""
    entity = world.catalog[task.entity]
    with both_sides(world) as (legacy, target):
        with one_trip(target, "target") as trip:
            trip.ask(entering(task.run_id, task.entity))
            trip.ask(same_version(world, task.run_id))
            asked_run = trip.ask(ask_run(task.run_id))
            asked_entity = trip.ask(ask_entity(task.run_id, task.entity))
            fence = trip.ask(ask_fence(task.entity))
        run, record = asked_run.value, asked_entity.value
        keep_to(legacy, run.fence)
        plan = plan_of(world, task.run_id, task.entity, legacy, target)
        carried, before = _fences(run, entity, plan, record, fence.value, target)
        complete = record.batches_done >= (record.batches_planned or 0)
        yield Reconcile(
            task.run_id,
            world.catalog,
            plan,
            entity,
            carried,
            before,
            complete,
            run.request.repair,
            int((record.reconcile or {}).get("cache_epoch", 0)),
            _is_whole(record, entity),
            legacy,
            target,
        )


def _is_whole(record: EntityRecord, entity: Entity) -> bool:
    mode = record.detection.mode if record.detection is not None else "none"
    return record.requested is None and mode in ("fence", "full", "none") and entity.detect == "commit_fence"


def _fences(
    run: RunRecord, entity: Entity, plan: EntityPlan, record: EntityRecord, fence: StoredFence, target: Connection
) -> tuple[Fence, Fence | None]:
    """What the target should hold, and what it held before this run."""
    if record.detection is not None and record.detection.mode in _CARRIED:
        return run.fence, record.detection.fence
    stored, definition, version = fence
    why = why_unusable(stored, run.fence)
    if why == RESTARTED:
        why = None  # what a later change has in common with an earlier one is its id; it is compared, and told
    if why is None and definition != plan.definition_hash:
        why = "definition_changed"
    if stored is None or why is not None:
        raise EntityIncomplete(
            f"Entity {entity.entity} cannot be compared before it is carried over again ({why or 'first_time'}).",
            "Start a weekly run.",
        )
    _plan_nothing(run, entity, record, stored, (plan.as_planned, version), target)
    return stored, stored


def _plan_nothing(
    run: RunRecord, entity: Entity, record: EntityRecord, stored: Fence, state: tuple[AsPlanned, int],
    target: Connection,
) -> None:  # fmt: skip
    """A verify run reads no changes: what legacy committed after the stored fence is the next sync's.

    `state` is by what it is read, and the version of its fence.
    """
    if run.request.profile is Profile.verify and record.detection is None:
        with one_trip(target, "target", writes=True) as trip:
            nothing = Detection("none", "verify", stored)
            record_plan(trip, run.run_id, entity, nothing, *state, 0, 0)
