"""The fence of each entity: up to where legacy has been carried, and under which definition; in the target."""

from __future__ import annotations

from typing import Any

from hybrid_sync.legacy.fence import Fence
from hybrid_sync.postgres import Connection, Question

StoredFence = tuple[Fence | None, str | None, int]
"""The entity's fence, the definition it was taken under, and its version."""


def ask_fence(entity: str) -> Question[StoredFence]:
    """The same as one question among others."""
    return Question(
        "select fence, definition_hash, version from hybrid_sync.fence where entity = %s",
        (entity,),
        lambda found: _stored(found.fetchone()),
    )


def _stored(row: tuple[Any, ...] | None) -> StoredFence:
    if row is None:
        return None, None, 0
    return Fence.model_validate(row[0]) if row[0] else None, row[1], row[2]


def advance_fence(
    connection: Connection, run_id: str, entity: str, fence: Fence, definition_hash: str, version: int
) -> bool:
    """Compare-and-set: only from the version that the run planned against, and only where nobody holds the entity."""
    return (
        connection.execute(
            "with state as (select held from hybrid_sync.entity_state where entity = %(entity)s for share)"
            " update hybrid_sync.fence set fence = %(fence)s, definition_hash = %(hash)s, version = version + 1,"
            " run_id = %(run)s, advanced_at = clock_timestamp() where entity = %(entity)s and version = %(version)s"
            " and not coalesce((select held from state), false)",
            {
                "entity": entity, "fence": fence.model_dump_json(), "hash": definition_hash, "run": run_id,
                "version": version,
            },
        ).rowcount == 1
    )  # fmt: skip
