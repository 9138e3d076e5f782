"""Record failure: what a Catch of the state machine tells becomes data, so that the report always runs."""

from __future__ import annotations

from hybrid_sync.contracts import RunFailure
from hybrid_sync.postgres import transaction
from hybrid_sync.runs import store
from hybrid_sync.world import World


def record_failure(world: World, failure: RunFailure) -> None:
    """One line of the run's report; the entity, where one is named, is marked as failed."""
    with world.connect_target() as target, transaction(target, "target"):
        store.record_failure(target, failure)
