"""A short drill: what `make drill` does at length."""

from __future__ import annotations

import psycopg

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.sample import generate
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.postgres import Cluster
from tests.drill.drill import drill
from tests.engine.worlds import EngineWorld, run


def test_every_corruption_is_named_by_entity_key_and_column_and_nothing_else_is(
    legacy_db: str, target_db: str, supabase_postgres: Cluster
) -> None:
    generate(legacy_db, target_db, scale=0.003, seed=5)
    catalog = load(home.project_root() / "layers" / "catalog")
    world = EngineWorld(catalog, legacy_db, install(target_db, "only-for-tests", catalog))
    world.segment_rows = 1_000
    run(world, "first")
    superuser = supabase_postgres.dsn(str(psycopg.conninfo.conninfo_to_dict(target_db)["dbname"]))
    verdict = drill(world, superuser, 150, seed=5)
    assert verdict.missed == []
    assert (verdict.found, verdict.false, verdict.left) == (verdict.injected, 0, 0)
    assert verdict.injected >= 150
