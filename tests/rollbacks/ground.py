"""The databases that the rollbacks are played on: the engine tests' domain, a table of the target's own, one world."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.engine.worlds import EngineWorld

DOMAIN = Path("tests/engine/domain")
PASSWORD = "only-for-tests"  # nosec B105 - of servers that live as long as the game

# Children that nobody syncs: one that falls with its parent, one that would lose its reference.
_NATIVE = """
create table attachments (id uuid primary key default gen_random_uuid(),
                          visit_id uuid references visits on delete cascade,
                          person_id uuid references people on delete set null);
create unique index people_email on people (email);
"""


class Ground:
    """One legacy, one target; `world` is the engine's, the DSNs are their owners'."""

    def __init__(self, legacy_dsn: str, target_dsn: str) -> None:
        with psycopg.connect(legacy_dsn, autocommit=True) as legacy:
            legacy.execute((DOMAIN / "legacy.sql").read_bytes())
        with psycopg.connect(target_dsn, autocommit=True) as target:
            target.execute((DOMAIN / "target.sql").read_bytes())
            target.execute(_NATIVE)
        catalog = load(DOMAIN / "catalog")
        self.world = EngineWorld(catalog, legacy_dsn, install(target_dsn, PASSWORD, catalog))
        self.legacy = psycopg.connect(legacy_dsn, autocommit=True)
        self.target = psycopg.connect(target_dsn, autocommit=True)

    def close(self) -> None:
        self.legacy.close()
        self.target.close()


@contextmanager
def servers(folder: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """Two throwaway servers, destroyed at the end; `folder` is private to them."""
    processes = Processes(folder)
    place = home.reachable(folder)
    legacy = Cluster("rollbacks-legacy", place / "legacy", "postgres", PASSWORD, processes)
    target = Cluster("rollbacks-target", place / "target", supabase.SUPERUSER, PASSWORD, processes)
    try:
        for cluster in (legacy, target):
            cluster.ensure()
            _hash_quickly(cluster)
        supabase.bootstrap(target.dsn(), admin_password=PASSWORD, authenticator_password=PASSWORD)
        yield legacy, target
    finally:
        legacy.destroy()
        target.destroy()


def _hash_quickly(cluster: Cluster) -> None:
    """Every step opens connections of its own: 4,096 rounds of hashing would be the largest part of a step."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        if connection.info.server_version >= 160_000:
            connection.execute("alter system set scram_iterations = 1")
            connection.execute("select pg_reload_conf()")
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("alter role {} password {}").format(
                psycopg.sql.Identifier(cluster.superuser), psycopg.sql.Literal(PASSWORD)
            )
        )


@contextmanager
def ground(legacy: Cluster, target: Cluster, number: int) -> Iterator[Ground]:
    """Fresh databases on the servers."""
    name = f"game_{number}"
    for cluster in (legacy, target):
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
    supabase.bootstrap(target.dsn(name), admin_password=PASSWORD, authenticator_password=PASSWORD)
    made = Ground(legacy.dsn(name), target.dsn(name, supabase.ADMIN, PASSWORD))
    try:
        yield made
    finally:
        made.close()
        for cluster in (legacy, target):
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                connection.execute(
                    psycopg.sql.SQL("drop database {} with (force)").format(psycopg.sql.Identifier(name))
                )
