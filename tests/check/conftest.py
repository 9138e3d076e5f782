"""A healthy pair of databases behind roles with the least rights, and copies of it to do harm to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.conftest import PASSWORD
from tests.engine.conftest import DOMAIN, copied
from tests.engine.worlds import EngineWorld
from tests.servers import memory

CATALOG = load(DOMAIN / "catalog")
READER = "check_reader"
WORKER = "hybrid_sync_worker"
# The domain leaves these out, as worlds for tests may.
_WHOLE = "create index on visits (person_id)"
_numbers = itertools.count(1)


def execute(dsn: str, *statements: str) -> None:
    """As the owner, each committed at once; `{db}` is the database."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.replace("{db}", f'"{owner.info.dbname}"').encode())


@dataclass(frozen=True)
class Pair:
    """Two databases: as their owners see them, and as the world that a check looks at."""

    legacy_server: Cluster
    legacy: str
    target: str
    world: EngineWorld


@pytest.fixture(scope="session")
def legacy_server(session_home: Path) -> Iterator[Cluster]:
    """A server of this test's own: it allows prepared transactions, and few connections."""
    cluster = Cluster("checked", memory.place(session_home) / "checked", "postgres", PASSWORD, Processes(session_home))
    cluster.ensure()
    execute(
        cluster.dsn(), "alter system set max_prepared_transactions = 2", "alter system set max_connections = 40",
        f"create role {READER} login password '{PASSWORD}'",
    )  # fmt: skip
    cluster.stop()
    cluster.ensure()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="session")
def templates(legacy_server: Cluster, supabase_postgres: Cluster) -> tuple[str, str]:
    """The databases that each pair is a copy of."""
    names = ("healthy_legacy", "healthy_target")
    for server, name in zip((legacy_server, supabase_postgres), names, strict=True):
        execute(server.dsn(), f"create database {name}")
    execute(legacy_server.dsn(names[0]), (DOMAIN / "legacy.sql").read_text("utf-8"), *grants_of_reader())
    supabase.bootstrap(supabase_postgres.dsn(names[1]), admin_password=PASSWORD, authenticator_password=PASSWORD)
    admin = supabase_postgres.dsn(names[1], supabase.ADMIN, PASSWORD)
    execute(admin, (DOMAIN / "target.sql").read_text("utf-8"), _WHOLE)
    install(admin, PASSWORD, CATALOG)
    return names


def grants_of_reader() -> list[str]:
    """What docs/security.md says."""
    return [f"grant select on all tables in schema public to {READER}"]


@contextmanager
def copy(legacy_server: Cluster, target_server: Cluster, templates: tuple[str, str]) -> Iterator[Pair]:
    """A healthy pair, gone afterwards."""
    with ExitStack() as made:
        n = next(_numbers)
        names = [f"{template}_{n}" for template in templates]
        for server, name, template in zip((legacy_server, target_server), names, templates, strict=True):
            execute(server.dsn(), f"create database {name} template {template}")
            made.callback(execute, server.dsn(), f"drop database {name} with (force)")
        reader = legacy_server.dsn(names[0], READER, PASSWORD)
        world = EngineWorld(CATALOG, reader, target_server.dsn(names[1], WORKER, PASSWORD))
        made.callback(world.pool.close)
        yield Pair(legacy_server, legacy_server.dsn(names[0]), target_server.dsn(names[1]), world)


@pytest.fixture
def pair(legacy_server: Cluster, supabase_postgres: Cluster, templates: tuple[str, str]) -> Iterator[Pair]:
    """One that a test may harm."""
    with copy(legacy_server, supabase_postgres, templates) as made:
        yield made


@pytest.fixture(scope="module")
def shared_pair(legacy_server: Cluster, supabase_postgres: Cluster, templates: tuple[str, str]) -> Iterator[Pair]:
    """One that stays healthy."""
    with copy(legacy_server, supabase_postgres, templates) as made:
        yield made


@pytest.fixture
def replica(legacy_server: Cluster, session_home: Path) -> Iterator[Callable[[Pair], str]]:
    """Call for the reader's DSN of a standby of legacy."""
    with ExitStack() as made:

        def create(pair: Pair) -> str:
            copies = copied(legacy_server, session_home)
            made.callback(next, copies, None)
            standby = next(copies)
            standby.ensure()
            return standby.dsn(pair.world.legacy_dsn.rpartition("/")[2], READER, PASSWORD)

        yield create
