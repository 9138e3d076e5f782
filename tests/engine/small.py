"""A small world of a test's own: two tables or so, and the entities over them."""

from __future__ import annotations

from typing import Any

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.schema.install import install
from hybrid_sync.schema.plans import EntityPlan, compile_entity
from tests.engine.worlds import EngineWorld


def small_world(
    legacy_dsn: str, target_dsn: str, legacy_sql: str, target_sql: str, *entities: dict[str, Any]
) -> EngineWorld:
    """Both databases with their tables, and a world whose catalog has these entities."""
    for dsn, statements in ((legacy_dsn, legacy_sql), (target_dsn, target_sql)):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statements.encode())
    catalog = Catalog({entity["entity"]: Entity.model_validate(entity) for entity in entities})
    return EngineWorld(catalog, legacy_dsn, install(target_dsn, "only-for-tests", catalog))


def entity(name: str = "a", key: str = "a.id", **source: Any) -> dict[str, Any]:
    """An entity of one table of the same name, under the alias `a`."""
    more = {part: source.pop(part) for part in ("money", "on_delete") if part in source}
    return {
        "entity": name, "target": name, **more,
        "sources": {name: {"from": f"{name} a", "key": {"legacy_id": key}, **source}},
    }  # fmt: skip


def compiled(world: EngineWorld, name: str = "a") -> EntityPlan:
    """The entity's plan; StructureMismatch where catalog and databases do not fit."""
    with world.connect_legacy() as legacy, world.connect_target() as target:
        return compile_entity(name, world.catalog, legacy, target)
