"""The small domain with delete policies: each test says which entity does what."""

from __future__ import annotations

from typing import Any

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import OnDelete
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld

HARD = OnDelete(policy="hard")


def soft(**columns: str) -> OnDelete:
    """Set these columns."""
    return OnDelete(policy="soft", set=columns)


def with_policies(world: EngineWorld, **policies: OnDelete) -> None:
    """Give entities their policies; the others ignore deletes."""
    entities = dict(world.catalog.entities)
    for name, policy in policies.items():
        entities[name] = entities[name].model_copy(update={"on_delete": policy})
    world.catalog = Catalog(entities)


def everything_hard(world: EngineWorld) -> None:
    with_policies(world, **dict.fromkeys(world.catalog.entities, HARD))


def told(target: Query, run_id: str, entity: str) -> dict[str, Any]:
    """What the run says of the entity's deletes."""
    found: dict[str, Any] = target(
        "select deletes from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity
    )[0][0]
    return found


def conserved(target: Query, run_id: str, entity: str) -> dict[str, int]:
    """Numbers of the conservation equation that deletes move."""
    found = target("select conservation from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity)[
        0
    ][0]
    return {name: found[name] for name in ("current", "target", "pending_deletes", "tombstones", "missing")}


def kept(target: Query, run_id: str) -> list[tuple[Any, ...]]:
    """Which candidates were kept, and why."""
    return target(
        "select entity, key, reason from hybrid_sync.delete_candidate where run_id = %s and outcome = 'kept'"
        " order by 1, 2",
        run_id,
    )
