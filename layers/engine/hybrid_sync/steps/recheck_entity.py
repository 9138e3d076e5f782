"""Recheck entity: look again at what the heal batches wrote; a difference that persists fails the entity."""

from __future__ import annotations

from hybrid_sync.compare import findings
from hybrid_sync.contracts import EntityTask, LinkTask, RecheckedEntity
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import one_trip, transaction
from hybrid_sync.runs.store import read_entity, require_complete
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.reconcile_entity import opened
from hybrid_sync.world import World


def recheck_entity(world: World, task: EntityTask) -> RecheckedEntity:
    """Safe to repeat.  Raises EntityIncomplete when a heal batch is missing."""
    with opened(world, task) as reconcile:
        with transaction(reconcile.target, "target"):
            record = read_entity(reconcile.target, task.run_id, task.entity)
            require_complete(task.entity, record)
        # Rows that came back may refer to each other; linking has a bound per call.
        while link_references(world, LinkTask(run_id=task.run_id)).more:
            pass
        reconcile.recheck()
        failpoint("reconcile.rechecked", reconcile.legacy, reconcile.target)
        with one_trip(reconcile.target, "target", read_only=True) as trip:
            numbers = findings.numbers(trip, task.run_id, reconcile.entity)
        result = numbers()
        with one_trip(reconcile.target, "target", writes=True) as trip:
            findings.record(trip, task.run_id, task.entity, {**result, "done": True})
    return RecheckedEntity(
        run_id=task.run_id, entity=task.entity, healed=result["healed"], persisted=result["persisted"]
    )
