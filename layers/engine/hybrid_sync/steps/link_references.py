"""Link references: the deferred ones, whose parent has a UUID by now; what cannot be linked is reported."""

from __future__ import annotations

from hybrid_sync.contracts import LinkResult, LinkTask
from hybrid_sync.errors import EntityHeld
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy.changes import BUCKET
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.runs.store import read_run, record_links
from hybrid_sync.target.batches import lock_buckets, require_free, require_running
from hybrid_sync.target.links import Group, groups, link, linkable, quarantine_unlinked
from hybrid_sync.world import World

_CHUNK = 5_000
_CHUNKS_PER_CALL = 40


def link_references(world: World, task: LinkTask) -> LinkResult:
    """Link up to 200,000 references per call; safe to repeat, each chunk is a journalled transaction of its own.

    The links of a held entity wait for its release.
    """
    linked = chunks = 0
    with world.connect_target() as target:
        with transaction(target, "target"):
            run = read_run(target, task.run_id)
            waiting = groups(target, world.catalog, {entity for wave in run.waves for entity in wave})
        for group in tuple(waiting):
            while chunks < _CHUNKS_PER_CALL:
                try:
                    with transaction(target, "target"):
                        done = _chunk(world, task.run_id, group, target)
                        record_links(target, task.run_id, group.entity, linked=done, pending=0)
                except EntityHeld:
                    waiting.remove(group)
                    break
                failpoint("link.committed", target)
                linked += done
                chunks += 1
                if done < _CHUNK:
                    break
        if chunks >= _CHUNKS_PER_CALL:
            return LinkResult(run_id=task.run_id, linked=linked, pending=0, more=True)
        pending = 0
        for group in waiting:
            with transaction(target, "target"):
                left = quarantine_unlinked(target, world.catalog, task.run_id, group)
                record_links(target, task.run_id, group.entity, linked=0, pending=left)
            pending += left
    return LinkResult(run_id=task.run_id, linked=linked, pending=pending, more=False)


def _chunk(world: World, run_id: str, group: Group, target: Connection) -> int:
    require_running(target, run_id)
    require_free(target, group.entity)
    keys = linkable(target, world.catalog, group, _CHUNK)
    if not keys:
        return 0
    failpoint("link.chosen", target)
    lock_buckets(target, group.entity, group.source, sorted({key[0] // BUCKET for key in keys}))
    failpoint("link.locked", target)
    return link(target, world.catalog, run_id, group, keys)
