"""Tell beside: rows that a trigger of the target changed while a run wrote others are failed records, like those whose
own write it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hybrid_sync.compare.beside import changed_beside
from hybrid_sync.compare.scope import changed_after
from hybrid_sync.contracts import Key
from hybrid_sync.legacy.versions import versions
from hybrid_sync.postgres import snapshot, transaction
from hybrid_sync.steps.count_entity import Sides
from hybrid_sync.write.batches import record_failed


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
    for source, rows in found.items():
        known = versions(legacy, sides.plan.sources[source], entity.sources[source], [row.key for row in rows])
        told = [replace(row, version=known.get(row.key)) for row in rows]
        with transaction(target, "target"):
            record_failed(target, sides.run.run_id, entity.entity, source, told)
