"""Compare segment: the checksums of one key range on both sides; what seems to differ is recorded by key."""

from __future__ import annotations

from hybrid_sync.compare.reconcile import Segment
from hybrid_sync.contracts import ComparedSegment, EntityTask, SegmentTask
from hybrid_sync.steps.reconcile_entity import opened
from hybrid_sync.world import World


def compare_segment(world: World, task: SegmentTask) -> ComparedSegment:
    """Safe to repeat, and beside the other segments."""
    with opened(world, EntityTask(run_id=task.run_id, entity=task.entity)) as reconcile:
        segment = Segment(task.n, task.source, task.lo, task.hi)
        suspected = reconcile.compare(segment, world.id_cache)
    return ComparedSegment(run_id=task.run_id, entity=task.entity, suspected=suspected)
