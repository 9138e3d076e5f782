"""Propagate deletes: what legacy no longer has, or excludes by now, follows its entity's policy in the target.

First the candidates of every entity are listed; then rows that go together let go of each other; then they are
removed, children before their parents, so over the waves from the last to the first.  Each page of keys is a
transaction of its own, in which every candidate is looked at again in legacy under its bucket lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hybrid_sync.contracts import DeleteResult, DeleteTask, Profile
from hybrid_sync.legacy.fence import legacy_when_needed
from hybrid_sync.postgres import Connection, one_trip
from hybrid_sync.runs import store
from hybrid_sync.runs.store import EntityRecord, RunRecord
from hybrid_sync.steps.contain import contained
from hybrid_sync.steps.delete_rows import EntityDeletes
from hybrid_sync.steps.list_departures import list_departures, without_departures
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.world import World

_PAGES_PER_CALL = 100
_UNBOUNDED = ("range",)
"""Ways of reading that name no keys which could be missing."""


def propagate_deletes(world: World, task: DeleteTask) -> DeleteResult:
    """Deal with up to 100,000 candidates per call; safe to repeat.

    An entity that cannot be worked on (held, changed structure) is recorded as failed and costs no other one.
    Raises RunNotRunning, or a transient SyncError when a database is away or busy.
    """
    pages = _PAGES_PER_CALL
    with legacy_when_needed(world.connect_legacy) as legacy_of, world.connect_target() as target:
        with one_trip(target, "target", read_only=True) as trip:
            trip.ask(same_version(world, task.run_id))
            asked, records = trip.ask(store.ask_run(task.run_id)), trip.ask(store.ask_entities(task.run_id, None))
        run = asked.value
        if run.request.profile is Profile.verify and not run.request.repair:
            return DeleteResult(run_id=task.run_id, more=False)
        waiting = _not_done(run, records.value)
        for name in without_departures(world, run, waiting, target):
            del waiting[name]
        for name, record in waiting.items():
            with contained(world, run.run_id, name, "PropagateDeletes", target):
                if record.deletes is None:
                    list_departures(world, run, record, name, legacy_of(run.fence), target)
        for unlink in (True, False):
            waiting = _asked_again(run, waiting, target)
            for name, record in waiting.items():
                if record.deletes is None:
                    continue
                with contained(world, run.run_id, name, "PropagateDeletes", target):
                    deletes = EntityDeletes(world, run, name, record.deletes, legacy_of(run.fence), target)
                    pages = deletes.clear_references(pages) if unlink else deletes.remove(pages)
                if pages <= 0:
                    return DeleteResult(run_id=task.run_id, more=True)
    return DeleteResult(run_id=task.run_id, more=False)


def _asked_again(run: RunRecord, names: Collection[str], target: Connection) -> dict[str, EntityRecord]:
    """How these entities stand by now."""
    if not names:
        return {}
    with one_trip(target, "target", read_only=True) as trip:
        records = trip.ask(store.ask_entities(run.run_id, list(names)))
    return _not_done(run, records.value)


def _not_done(run: RunRecord, records: Mapping[str, EntityRecord]) -> dict[str, EntityRecord]:
    """Children before their parents; without the entities of whose deletes nothing can be said."""
    found = {name: records[name] for wave in reversed(run.waves) for name in wave if name in records}
    return {
        name: record
        for name, record in found.items()
        if record.status != "failed" and record.detection is not None and record.detection.mode not in _UNBOUNDED
        and not (record.deletes or {}).get("done")
    }  # fmt: skip
