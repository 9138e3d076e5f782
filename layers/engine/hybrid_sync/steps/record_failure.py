"""Record failure: what a Catch of the state machine passes on becomes data, so that the report always runs."""

from __future__ import annotations

from hybrid_sync.contracts import RunFailure
from hybrid_sync.errors import MissingPrivilege, StructureMismatch
from hybrid_sync.failures.cause import plain
from hybrid_sync.postgres import transaction
from hybrid_sync.runs import store
from hybrid_sync.world import World

_OF_THE_CATALOG = (StructureMismatch.code, MissingPrivilege.code)


def record_failure(world: World, failure: RunFailure) -> None:
    """One line of the run's report; the entity, where one is named, is marked as failed."""
    with world.connect_target() as target, transaction(target, "target"):
        store.record_failure(target, placed(world, plain(failure)))


def placed(world: World, failure: RunFailure) -> RunFailure:
    """The failure with the catalog file that it is about, wherever it was found."""
    name = failure.entity
    if name is None or name not in world.catalog.entities or failure.error not in _OF_THE_CATALOG:
        return failure
    file = world.catalog.file_of(name)
    if file in failure.cause:
        return failure
    return failure.model_copy(update={"cause": f"Entity {name} ({file}): {failure.cause}"})
