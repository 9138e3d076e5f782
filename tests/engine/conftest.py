"""A small domain with every hard thing in it, on real PostgreSQL: legacy, target, catalog, and a world over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.target.install import install
from tests.engine.worlds import EngineWorld

DOMAIN = Path(__file__).parent / "domain"


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    """Both databases with the domain's tables, and the worker's own role on the target."""
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute((DOMAIN / "legacy.sql").read_bytes())
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute((DOMAIN / "target.sql").read_bytes())
    catalog = load(DOMAIN / "catalog")
    worker = install(target_db, "only-for-tests", catalog)
    return EngineWorld(catalog, legacy_db, worker)


Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def legacy(legacy_db: str, world: EngineWorld) -> Query:
    """Run SQL on legacy as a person would, committed at once; the rows if there are any."""
    return _runner(legacy_db)


@pytest.fixture
def target(target_db: str, world: EngineWorld) -> Query:
    """Run SQL on the target as its owner."""
    return _runner(target_db)


def _runner(dsn: str) -> Query:
    def run(query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    return run
