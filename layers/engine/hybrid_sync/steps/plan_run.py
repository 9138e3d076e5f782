"""Plan run: check what is asked, save the fence before anything is read, order the entities into waves."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask, PlannedRun, Profile, RunRequest
from hybrid_sync.errors import RequestRejected
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy import fence
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.runs.closure import close, requested
from hybrid_sync.runs.store import Requested, create_run, read_run
from hybrid_sync.target.plans import plan_for
from hybrid_sync.target.ready import require_installed
from hybrid_sync.world import World


def plan_run(world: World, request: RunRequest) -> PlannedRun:
    """Record the run and its waves; a repeated delivery returns the plan of the first.

    Raises StructureMismatch, MissingPrivilege or RequestRejected before anything is recorded.
    """
    _check(request)
    for entity in request.allow_deletes:
        world.catalog[entity]
    with world.connect_legacy() as legacy, world.connect_target() as target:
        require_installed(target)
        with transaction(legacy, "legacy", read_only=True):
            saved = fence.take(legacy)
        wanted = _wanted(world, request, legacy, target)
        waves = world.catalog.waves(_entities(request, wanted))
        fence.refuse_replica(saved, (world.catalog[entity] for wave in waves for entity in wave))
        for wave in waves:
            for entity in wave:
                plan_for(request.run_id, entity, world.catalog, legacy, target)
        deadline = request.deadline_seconds or world.limits(request.profile).deadline_seconds
        with transaction(target, "target"):
            create_run(target, request, saved, world.catalog.hash, deadline, waves, wanted or {})
            failpoint("run.creating", target, legacy)
        failpoint("run.recorded", target, legacy)
        with transaction(target, "target"):
            return _planned(request, read_run(target, request.run_id).waves)


def _check(request: RunRequest) -> None:
    if not request.run_id:
        raise RequestRejected("A run needs an id.", "Start it through the state machine.")
    if request.refs and (request.since or request.until):
        raise RequestRejected("A request names rows or a date range, not both.", "Send two requests.")
    if request.repair and request.profile is not Profile.verify:
        raise RequestRejected("Only a verify run repairs.", "Set profile to verify, or leave repair out.")
    if request.profile is not Profile.on_demand and request.refs:
        raise RequestRejected("Single rows belong to an on-demand run.", "Set profile to on_demand.")


def _wanted(world: World, request: RunRequest, legacy: Connection, target: Connection) -> Requested | None:
    if not request.refs:
        return None
    named = requested(world.catalog, request.refs)
    with transaction(legacy, "legacy", read_only=True), transaction(target, "target"):
        return close(world.catalog, named, legacy, target)


def _entities(request: RunRequest, wanted: Requested | None) -> list[str] | None:
    """All entities of the catalog unless the request names some, or rows of some."""
    if wanted is not None:
        return sorted({*wanted, *request.entities})
    return list(request.entities) or None


def _planned(request: RunRequest, waves: list[list[str]]) -> PlannedRun:
    tasks = tuple(tuple(EntityTask(run_id=request.run_id, entity=e) for e in wave) for wave in waves)
    return PlannedRun(
        run_id=request.run_id,
        profile=request.profile,
        waves=() if request.profile is Profile.verify else tasks,
        entities=tuple(task for wave in tasks for task in wave),
    )
