"""Settle uniques: values that moved between rows of different batches arrive together, in one transaction per entity.

A batch cannot set a value that a row of another batch still has, so it leaves the row to this step.  Here all of an
entity's such rows, and the rows that have what they want, are locked, read again and written as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_sync.contracts import Key, LinkTask, RunFailure, SettleResult, SettleTask
from hybrid_sync.errors import RunNotRunning, SyncError, TooManyMovedValues
from hybrid_sync.failpoints import failpoint
from hybrid_sync.legacy.fence import legacy_when_needed
from hybrid_sync.postgres import Connection, one_trip, transaction
from hybrid_sync.runs import store
from hybrid_sync.runs.store import EntityRecord, RunRecord
from hybrid_sync.schema.bulk import ask_under_way
from hybrid_sync.steps.bulk_load import end_bulk
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.same_version import same_version
from hybrid_sync.steps.settle_entity import Grown, SettledEntity, settle_entity
from hybrid_sync.world import World
from hybrid_sync.write.kept_out import kept_out, waiting_for

MOST_ROWS = 200_000
"""Rows in one transaction: 12,000 take about 1.6 s, and the journal keeps an image of each."""
_MOST_ROUNDS = 10
"""How often the set may grow by rows that have what is wanted; a longer chain is for a run that reads all of it."""


def settle_uniques(world: World, task: SettleTask, most: int = MOST_ROWS) -> SettleResult:
    """Write what a unique value kept out of the run's batches; safe to repeat: what is settled is not found again.

    A true duplicate stays a failed record.  Raises TooManyMovedValues above `most` rows; after the deletes, an entity
    that cannot be worked on is recorded as failed and costs no other one.  With an entity's rows all there, its first
    load ends: what was dropped for it is made again, beside the next wave where the plan says so.
    """
    settled = 0
    arrived: set[tuple[str, str, Key]] = set()
    with legacy_when_needed(world.connect_legacy) as legacy_of, world.connect_target() as target:
        with one_trip(target, "target", read_only=True) as trip:
            trip.ask(same_version(world, task.run_id))
            asked = trip.ask(store.ask_run(task.run_id))
            records = trip.ask(store.ask_entities(task.run_id, [task.entity] if task.entity else None))
            in_bulk = trip.ask(ask_under_way(task.run_id, task.entity or ""))
        run = asked.value
        left = records.value if task.portion != "end" else {}
        for name in (name for wave in run.waves for name in wave if name in left):
            record = records.value[name]
            if task.entity is None and (record.status == "failed" or not (_freed(record) or arrived)):
                continue
            with _contained(run, name, target, alone=task.entity is not None):
                wanted = _wanted(run, name, record, arrived, target)
                if not wanted:
                    continue  # as of most entities, so that few calls need legacy
                done = _settle(world, run, name, wanted, most, legacy_of(run.fence), target)
                settled += done.rows
                arrived |= {(name, source, key) for source, key in done.inserted}
        if task.entity is not None and in_bulk.value and task.portion != "rows":
            end_bulk(world, task.run_id, task.entity, target)
    if settled and task.entity is None:
        # Links have been looked at before the deletes: what these rows refer to would neither be set nor be told.
        while link_references(world, LinkTask(run_id=task.run_id)).more:
            pass
    return SettleResult(run_id=task.run_id, settled=settled)


def _freed(record: EntityRecord) -> bool:
    """Whether the run deleted or marked rows of the entity, whose values are free by now."""
    counts = record.deletes or {}
    return bool(counts.get("deleted") or counts.get("soft"))


def _wanted(
    run: RunRecord, name: str, record: EntityRecord, arrived: set[tuple[str, str, Key]], target: Connection
) -> dict[str, set[Key]]:
    with transaction(target, "target"):
        wanted = kept_out(target, run.run_id, name)
        for source, keys in waiting_for(target, run.run_id, name, arrived).items():
            wanted.setdefault(source, set()).update(keys)
    return wanted


def _settle(
    world: World, run: RunRecord, name: str, wanted: dict[str, set[Key]], most: int, legacy: Connection,
    target: Connection,
) -> SettledEntity:  # fmt: skip
    """Settle these rows with those that hold their values: locked in order, read again; anew where more show up."""
    failpoint("settle.chosen", target, legacy)
    asked = {source: frozenset(keys) for source, keys in wanted.items()}
    rounds = 0
    while True:
        rounds += 1
        if (rows := sum(map(len, wanted.values()))) > most:
            raise TooManyMovedValues(
                f"{rows} rows of {name} want unique values that other rows have, and at most {most} move at once.",
                "Drop the unique constraint in the target, start the run again, and create the constraint anew.",
            )
        try:
            return settle_entity(world, run, name, asked, wanted, legacy, target, last=rounds == _MOST_ROUNDS)
        except Grown as grown:
            for source, key in grown.places:
                wanted.setdefault(source, set()).add(key)


@contextmanager
def _contained(run: RunRecord, name: str, target: Connection, *, alone: bool) -> Iterator[None]:
    """A failure that a person must heal costs the entity alone, also where one call serves all of them."""
    try:
        yield
    except RunNotRunning:
        raise
    except SyncError as error:
        if error.transient or alone:
            raise
        failure = RunFailure(run_id=run.run_id, entity=name, state="SettleUniques", error=error.code, cause=str(error))
        with transaction(target, "target"):
            store.record_failure(target, failure)
