"""Adopt rows: the part of a batch that lets legacy rows which are new take over their native twins in the target.

Nothing is guessed: one legacy row and one native row, or a failed record.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Key
from hybrid_sync.keys import decode_key
from hybrid_sync.legacy.twins import with_twins
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.rows.columns import Rows
from hybrid_sync.schema.plans import EntityPlan
from hybrid_sync.write.adopt import Candidates, candidates


def adopt_rows(
    entity: Entity, plan: EntityPlan, source: str, legacy: Connection, target: Connection, rows: Rows,
    own: Container[bytes], retired: Mapping[Key, bytes],
) -> Candidates:  # fmt: skip
    """The native row that each of the rows takes over that are not the target's `own`; their UUIDs stay.

    A key that had a UUID before gets that one back and never another.
    """
    if entity.adopt is None or not rows:
        return Candidates()
    new = (row for row in rows if row.key not in own)
    found = candidates(target, entity, source, plan.sources[source], plan.table, new)
    keys = {decode_key(row): row for row in found.ids}
    for key in [key for key, row in keys.items() if retired.get(key, found.ids[row]) != found.ids[row]]:
        del found.ids[keys.pop(key)]
    if keys:
        with transaction(legacy, "legacy", read_only=True, path=entity.legacy_search_path):
            doubled = with_twins(legacy, entity, plan.sources, source, keys)
        for key in doubled:
            found.ambiguous.add(keys[key])
            del found.ids[keys[key]]
    return found
