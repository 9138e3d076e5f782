"""Confirm differences: once all segments are compared, look at every suspect again and plan what heals."""

from __future__ import annotations

from hybrid_sync.compare import findings
from hybrid_sync.contracts import EntityTask, ReconciledEntity
from hybrid_sync.errors import EntityIncomplete
from hybrid_sync.postgres import answer, transaction
from hybrid_sync.runs.store import read_entity
from hybrid_sync.steps.reconcile_entity import confirmed, opened
from hybrid_sync.world import World


def confirm_differences(world: World, task: EntityTask) -> ReconciledEntity:
    """Safe to repeat.  Raises EntityIncomplete when a segment was not compared."""
    with opened(world, task) as reconcile:
        with transaction(reconcile.target, "target"):
            planned = (read_entity(reconcile.target, task.run_id, task.entity).reconcile or {}).get("segments_planned")
            done = answer(reconcile.target, findings.ask_segments_done(task.run_id, task.entity))[0]["segments"]
        if done != planned:
            raise EntityIncomplete(
                f"Entity {task.entity} has {done} of {planned} segments compared.",
                "See the run's failures, then start it again.",
            )
        return confirmed(world, reconcile)
