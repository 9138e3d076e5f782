"""Plan run: check what is asked, save the fence before anything is read, order the entities into waves.

An entity that does not fit its databases is recorded as failed, with those that refer to it; the others are carried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Priority
from hybrid_sync.check.verdicts import require_passed
from hybrid_sync.contracts import EntityTask, PlannedRun, Profile, RunFailure, RunRequest
from hybrid_sync.errors import RequestRejected, SyncError
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy import fence
from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, one_trip, together, transaction
from hybrid_sync.runs.called import ask_called, take_along
from hybrid_sync.runs.closure import close, requested
from hybrid_sync.runs.fences import ask_carried, require_reached
from hybrid_sync.runs.lost import at_work
from hybrid_sync.runs.store import (
    EntityRecord,
    Requested,
    RunRecord,
    ask_entities,
    ask_run,
    create_run,
    record_failure,
    record_part,
)  # fmt: skip
from hybrid_sync.schema.bulk import ask_left_open
from hybrid_sync.schema.plans import sizes
from hybrid_sync.schema.ready import ask_installed, prepared
from hybrid_sync.steps.bulk_load import begin_bulk, end_left_open, record_unhealed, without_key
from hybrid_sync.steps.end_lost_runs import end_lost_runs_and_alert
from hybrid_sync.steps.fit_entities import OF_THE_ENTITY, unfit, with_ancestors
from hybrid_sync.steps.plans import recall_erased
from hybrid_sync.steps.same_version import record_secret, same_secret, same_version, version
from hybrid_sync.world import World, both_sides


def plan_run(world: World, request: RunRequest) -> PlannedRun:
    """Record the run and its waves; a repeated delivery returns the plan of the first.

    Raises RequestRejected, or what is about a database as a whole, before anything is recorded.
    """
    _check(request)
    world.catalog.require_deletable(request)
    with both_sides(world) as (legacy, target):
        with ThreadPoolExecutor(max_workers=1) as beside:
            looked = beside.submit(_look, legacy)
            with prepared(target), one_trip(target, "target", read_only=True) as trip:
                trip.ask(ask_installed())
                for question in same_secret(world):
                    trip.ask(question)
                others = trip.ask(at_work(request.run_id))
                left_open = trip.ask(ask_left_open())
                called = trip.ask(ask_called(world.catalog))
            if others.value:
                end_lost_runs_and_alert(world, target, finder=request.run_id)
            # A run that was found to be lost may have left one open, too.
            unhealed = end_left_open(world, request.run_id, target, goes_on=True) if left_open.value else []
        saved = looked.result()
        recall_erased(world, legacy, target)
        if request.act != "sync":
            from hybrid_sync.steps.act_on_people import act_on_people  # who syncs need not load it

            request = act_on_people(world, request, legacy, target)
            recall_erased(world, legacy, target)  # so that this worker has heard of it
        if request.trigger == "schedule":
            require_passed(target, world.catalog.hash)
        told = {} if called.value else take_along(target, world.catalog)
        fence.keep_to(legacy, saved)
        wanted, failed = _wanted(world, request, legacy, target)
        waves = world.catalog.waves(_entities(world.catalog, request, wanted))
        fence.refuse_replica(saved, (world.catalog[entity] for wave in waves for entity in wave))
        entities = [entity for wave in waves for entity in wave]
        failed = {**unfit(world, request.run_id, entities, legacy, target), **failed}
        failed |= without_key(target) if unhealed else {}
        deadline = request.deadline_seconds or world.limits(request.profile).deadline_seconds
        with transaction(target, "target"):
            require_reached(target, saved)
            if create_run(target, request, saved, version(world), deadline, waves, wanted or {}):
                _record(request, entities, failed, target)
                for name in told.keys() & set(entities):
                    record_part(target, request.run_id, name, warnings=told[name])
            failpoint("run.creating", target, legacy)
            with together(target, commits=True) as trip:
                record_secret(world, trip)
                trip.ask(same_version(world, request.run_id))
                run, records = trip.ask(ask_run(request.run_id)), trip.ask(ask_entities(request.run_id, None))
                carried = trip.ask(ask_carried())
        failpoint("run.recorded", target, legacy)
        record_unhealed(request.run_id, unhealed, target)
        in_bulk = begin_bulk(world, request, records.value, carried.value, target)
        large = sizes(request.run_id, records.value, legacy, target)
        return _planned(world.catalog, request, run.value, records.value, in_bulk, large)


def _look(legacy: Connection) -> Fence:
    """The fence, before legacy is read for the run; beside what the target is asked, which needs no answer of it."""
    with transaction(legacy, "legacy", read_only=True):
        return fence.current_fence(legacy)


def _check(request: RunRequest) -> None:
    if not request.run_id:
        raise RequestRejected("A run needs an id.", "Start it through the state machine.")
    if request.refs and (request.since or request.until):
        raise RequestRejected("A request names rows or a date range, not both.", "Send two requests.")
    if request.repair and request.profile is not Profile.verify:
        raise RequestRejected("Only a verify run repairs.", "Set profile to verify, or leave repair out.")
    if request.profile is not Profile.on_demand and (request.refs or request.since or request.until):
        raise RequestRejected(
            "Single rows, and those of a range of time, belong to an on-demand run.", "Set profile to on_demand."
        )


def _wanted(
    world: World, request: RunRequest, legacy: Connection, target: Connection
) -> tuple[Requested | None, dict[str, SyncError]]:
    """The rows to carry, and the entities that turned out not to fit while looking for them."""
    if not request.refs:
        return None, {}
    named = requested(world.catalog, request.refs)
    try:
        return _closed(world, named, {}, legacy, target), {}
    except OF_THE_ENTITY:
        # Somewhere among the parents; which of them is asked only now, since a few rows should arrive at once.
        failed = unfit(world, request.run_id, with_ancestors(world.catalog, named), legacy, target)
        return _closed(world, named, failed, legacy, target), failed


def _closed(
    world: World, named: Requested, failed: Mapping[str, SyncError], legacy: Connection, target: Connection
) -> Requested:
    with transaction(legacy, "legacy", read_only=True), transaction(target, "target"):
        return close(world.catalog, named, legacy, target, without=failed)


def _entities(catalog: Catalog, request: RunRequest, wanted: Requested | None) -> list[str] | None:
    """All entities of the catalog (None) unless the request names some, or rows of some.

    Of an hourly run those that the catalog calls critical, with what they refer to: a payment of a new order arrives
    with its order.
    """
    if wanted is not None:
        return sorted({*wanted, *request.entities})
    if request.entities or request.profile is not Profile.hourly:
        return list(request.entities) or None
    critical = [name for name, entity in catalog.entities.items() if entity.priority is Priority.critical]
    if not critical:
        raise RequestRejected(
            "No entity of the catalog is critical, and an hourly run carries those.",
            "Write priority: critical into an entity's file, or set HourlyEnabled to false.",
        )
    return with_ancestors(catalog, critical)


def _record(request: RunRequest, entities: list[str], failed: Mapping[str, SyncError], target: Connection) -> None:
    for name in entities:
        if (error := failed.get(name)) is not None:
            record_failure(
                target,
                RunFailure(
                    run_id=request.run_id, entity=name, state="PlanRun", error=error.code, cause=str(error)
                ),
            )  # fmt: skip


def _planned(
    catalog: Catalog, request: RunRequest, run: RunRecord, records: Mapping[str, EntityRecord], in_bulk: Set[str],
    large: Mapping[str, int],
) -> PlannedRun:  # fmt: skip
    """What the run carries: its waves without the entities that have failed, those that are narrow joined."""
    carried = [[e for e in wave if records[e].status != "failed"] for wave in run.waves]
    waves = catalog.strands([wave for wave in carried if wave], large, in_bulk)
    entities = [e for wave in carried for e in wave]
    if request.profile not in (Profile.weekly, Profile.verify):  # whose reconciles heal parents before children
        entities = catalog.costliest_first(entities, large)  # what is verified last is over soon
    return PlannedRun(
        run_id=request.run_id,
        profile=request.profile,
        waves=()
        if request.profile is Profile.verify
        else _tasks(request.run_id, waves, catalog.endings(waves, in_bulk)),
        entities=tuple(EntityTask(run_id=request.run_id, entity=name) for name in entities),
    )


def _tasks(
    run_id: str, waves: Sequence[Sequence[Sequence[str]]], endings: Sequence[Sequence[str]]
) -> tuple[tuple[EntityTask, ...], ...]:
    """Of each wave the first loads that end beside it, which take long where the table is large, then its strands."""
    apart = {name for ended in endings for name in ended}
    return tuple(
        (
            *(EntityTask(run_id=run_id, entity=name, portion="end") for name in ended),
            *(_first(run_id, strand, apart) for strand in wave),
        )
        for wave, ended in zip(waves, endings, strict=True)
    )


def _first(run_id: str, strand: Sequence[str], apart: Set[str]) -> EntityTask:
    """The first entity of a strand, with the rest of the strand to follow it."""
    task: EntityTask | None = None
    for entity in reversed(strand):
        task = EntityTask(run_id=run_id, entity=entity, then=task, portion="rows" if entity in apart else "whole")
    assert task is not None
    return task
