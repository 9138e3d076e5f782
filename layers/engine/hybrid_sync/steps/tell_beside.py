"""Tell beside: rows that a trigger of the target changed while a run wrote others are failed records, like those whose
own write it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_sync.compare import proof
from hybrid_sync.compare.beside import changed_beside
from hybrid_sync.compare.recheck import Difference
from hybrid_sync.compare.scope import changed_after
from hybrid_sync.contracts import Key
from hybrid_sync.legacy.versions import versions
from hybrid_sync.postgres import snapshot, transaction
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.steps.count_entity import Sides
from hybrid_sync.write.batches import record_failed
from hybrid_sync.write.isolate import ALTERED


def tell_beside(sides: Sides, suspects: Mapping[str, Sequence[Key]]) -> None:
    """Put those of the suspects, by source, that differ from legacy into quarantine; before anything is counted."""
    entity, legacy, target = sides.entity, sides.legacy, sides.target
    # The target's snapshot first: what legacy commits in between counts as in flight.
    with snapshot(target, "target"), snapshot(legacy, "legacy", path=entity.legacy_search_path):
        target.execute("select 1")  # legacy may have to be asked what to look for
        after_fence = {
            source: changed_after(entity, entity.sources[source], sides.carried, legacy) for source in suspects
        }
        found = changed_beside(sides.catalog, sides.plan, entity, suspects, after_fence, legacy, target)
        told = {source: _not_for_the_proof(sides, source, rows) for source, rows in found.items()}
    for source, rows in told.items():
        known = versions(legacy, sides.plan.sources[source], entity.sources[source], [row.key for row in rows])
        failed = [
            FailedRow(row.key, ALTERED, next(iter(row.columns), None), present=True, version=known.get(row.key))
            for row in rows
        ]
        with transaction(target, "target"):
            record_failed(target, sides.run.run_id, entity.entity, source, failed)


def _not_for_the_proof(sides: Sides, source: str, rows: Sequence[Difference]) -> Sequence[Difference]:
    """Without rows that runs have written with a reference to another row: whether an id of the cache was wrong is the
    proof's to say, which passes over rows that failed before, and has the cache forgotten."""
    plan = sides.plan.sources[source]
    references = {slot.column for slot in plan.references}
    elsewhere = {row.key for row in rows if not references.isdisjoint(row.columns)}
    if not elsewhere or sides.record.reconcile is not None:
        return rows
    waiting = proof.unproved(sides.run.run_id, sides.plan, source, sides.target)
    if waiting is not None:
        elsewhere &= set(waiting)
    return [row for row in rows if row.key not in elsewhere]
