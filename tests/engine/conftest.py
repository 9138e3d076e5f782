"""A small domain with every hard thing in it, on real PostgreSQL: legacy, target, catalog, and a world over them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.conftest import PASSWORD
from tests.engine.worlds import EngineWorld
from tests.servers import memory
from tests.servers.projects import Projects

DOMAIN = Path(__file__).parent / "domain"


@pytest.fixture
def target_db(projects: Projects) -> Iterator[str]:
    """As in other folders, but with the engine's schema in it: `install` adds what a catalog needs."""
    with projects.copy("target", installed=True) as name:
        yield projects.admin_dsn(name)


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


@pytest.fixture
def own_legacy(session_home: Path) -> Iterator[Cluster]:
    """A legacy server that a test may stop, copy and promote."""
    cluster = _cluster(session_home, "history")
    cluster.ensure()
    with psycopg.connect(cluster.dsn(), autocommit=True) as legacy:
        legacy.execute((DOMAIN / "legacy.sql").read_bytes())
    yield cluster
    cluster.destroy()


def _cluster(session_home: Path, name: str) -> Cluster:
    return Cluster(name, memory.place(session_home) / name, "postgres", PASSWORD, Processes(session_home))


@pytest.fixture
def standby(own_legacy: Cluster, session_home: Path) -> Iterator[Cluster]:
    """A copy of the primary as it is now; it follows nothing from here on, so it lags."""
    yield from copied(own_legacy, session_home)


def copied(primary: Cluster, session_home: Path) -> Iterator[Cluster]:
    """A standby that has not been started yet; gone afterwards."""
    copy = _cluster(session_home, "standby")
    copy.directory.mkdir(mode=0o711, parents=True)
    if copy.binaries.user:
        shutil.chown(copy.directory, copy.binaries.user)
    copy.binaries.run("pg_basebackup", "-d", primary.dsn(), "-D", copy.data, "--checkpoint=fast", "--wal-method=stream")
    (copy.data / "standby.signal").touch()
    yield copy
    copy.destroy()
