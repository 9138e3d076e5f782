"""Link references: the deferred ones, whose parent has a UUID by now; what cannot be linked is reported."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_sync.contracts import LinkResult, LinkTask
from hybrid_sync.errors import EntityHeld, ForeignKeyUnproven, IndexUnmade
from hybrid_sync.failpoints import failpoint
from hybrid_sync.keys import bucket_numbers
from hybrid_sync.postgres import Connection, one_trip, transaction
from hybrid_sync.runs.store import ask_failed_with, ask_run, record_links
from hybrid_sync.schema.bulk import ask_left_open
from hybrid_sync.steps.bulk_load import end_bulk
from hybrid_sync.steps.contain import contained
from hybrid_sync.steps.fit_entities import LASTING
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.world import World
from hybrid_sync.write.batches import lock_buckets, require_free, require_running
from hybrid_sync.write.links import Group, ask_fires, groups, link, linkable, quarantine_unlinked

_CHUNK = 5_000
_CHUNKS_PER_CALL = 40


def link_references(world: World, task: LinkTask) -> LinkResult:
    """Link up to 200,000 references per call; safe to repeat, each chunk is a journalled transaction of its own.

    The links of a held entity wait for its release; those from or to an entity that does not fit, for the run that
    carries both.
    """
    left = _CHUNKS_PER_CALL
    linked = pending = 0
    with world.connect_target() as target:
        waiting, in_bulk = _waiting(world, task.run_id, target)
        for name in in_bulk:  # its batches were never come to, or settling could not end it
            with contained(world, task.run_id, name, "LinkReferences", target):
                end_bulk(world, task.run_id, name, target)
        firing = _firing(world, waiting, target)
        for group in waiting:
            with contained(world, task.run_id, group.entity, "LinkReferences", target):
                try:
                    chunks, done = _link_group(world, task.run_id, group, target, left, firing=firing[group.entity])
                    left -= chunks
                    linked += done
                    if left <= 0:
                        return LinkResult(run_id=task.run_id, linked=linked, pending=0, more=True)
                    pending += _quarantine(world, task.run_id, group, target)
                except EntityHeld:
                    continue
    return LinkResult(run_id=task.run_id, linked=linked, pending=pending, more=False)


def _waiting(world: World, run_id: str, target: Connection) -> tuple[list[Group], list[str]]:
    """Links that wait, and entities whose first load has not ended."""
    with one_trip(target, "target", read_only=True) as trip:
        trip.ask(same_version(world, run_id))
        trip.ask(ask_run(run_id))
        failed, found = trip.ask(ask_failed_with(run_id, LASTING)), trip.ask(groups(world.catalog, run_id))
        left, refused = (
            trip.ask(ask_left_open()),
            trip.ask(ask_failed_with(run_id, {ForeignKeyUnproven.code, IndexUnmade.code})),
        )
    waiting = [g for g in found.value if g.entity not in failed.value and g.parent_entity not in failed.value]
    return waiting, [one.entity for one in left.value if one.run_id == run_id and one.entity not in refused.value]


def _firing(world: World, waiting: Sequence[Group], target: Connection) -> dict[str, bool]:
    """Of each entity with links: whether these fire triggers."""
    if not waiting:
        return {}
    with one_trip(target, "target", read_only=True) as trip:
        asked = {group.entity: trip.ask(ask_fires(world.catalog, group.entity)) for group in waiting}
    return {entity: answer.value for entity, answer in asked.items()}


def _link_group(
    world: World, run_id: str, group: Group, target: Connection, most: int, *, firing: bool
) -> tuple[int, int]:  # fmt: skip
    """Link chunk after chunk, `most` at most; how many chunks, and how many references."""
    linked = chunks = 0
    while chunks < most:
        with transaction(target, "target"):
            chosen, done = _chunk(world, run_id, group, target, firing=firing)
            record_links(target, run_id, group.entity, linked=done, pending=0)
        failpoint("link.committed", target)
        linked += done
        chunks += 1
        if chosen < _CHUNK:
            break
    return chunks, linked


def _quarantine(world: World, run_id: str, group: Group, target: Connection) -> int:
    with transaction(target, "target"):
        left = quarantine_unlinked(target, world.catalog, run_id, group)
        record_links(target, run_id, group.entity, linked=0, pending=left)
    return left


def _chunk(world: World, run_id: str, group: Group, target: Connection, *, firing: bool) -> tuple[int, int]:
    """How many links were chosen, and how many of them are settled."""
    require_running(target, run_id)
    require_free(target, group.entity)
    keys = linkable(target, world.catalog, run_id, group, _CHUNK)
    if not keys:
        return 0, 0
    failpoint("link.chosen", target)
    lock_buckets(target, group.entity, group.source, bucket_numbers(keys))
    failpoint("link.locked", target)
    return len(keys), link(target, world.catalog, run_id, group, keys, firing=firing)
