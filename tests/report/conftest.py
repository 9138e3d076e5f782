"""A target with the engine's own tables, for reports over hand-written records; and the reports of real runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.report.model import RunSummary
from hybrid_sync.schema.install import install
from hybrid_sync_cli.execution import catalog_of_project
from hybrid_sync_cli.sample import World, generate, mutate
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.worlds import EngineWorld, MemoryReports, run
from tests.report.records import create_schema

PASSWORD = "only-for-tests"


@pytest.fixture
def store(target_db: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty run store."""
    with psycopg.connect(target_db, autocommit=True) as connection:
        create_schema(connection)
        yield connection


@dataclass(frozen=True)
class Sampled:
    """What the sample planted, and the reports of a first and a second weekly run, a week of life between them."""

    made: World
    reports: MemoryReports
    cells: frozenset[str]
    """Texts of people and messages, as legacy holds them."""

    def summary(self, run_id: str) -> RunSummary:
        return RunSummary.model_validate(self.reports.documents[run_id])


@pytest.fixture(scope="session")
def sampled(postgres: Cluster, supabase_postgres: Cluster) -> Iterator[Sampled]:
    """The sample world, synced twice by the engine."""
    with _database(postgres), _database(supabase_postgres):
        legacy = postgres.dsn("reported")
        supabase.bootstrap(supabase_postgres.dsn("reported"), admin_password=PASSWORD, authenticator_password=PASSWORD)
        target = supabase_postgres.dsn("reported", supabase.ADMIN, PASSWORD)
        made = generate(legacy, target, 0.002, seed=3)
        catalog = catalog_of_project()
        world = EngineWorld(catalog, legacy, install(target, PASSWORD, catalog))
        run(world, "first")
        cells = _cells(legacy)
        mutate(legacy, seed=5)
        run(world, "second")
        yield Sampled(made, world.reports, cells)


_CELLS = """
select distinct value #>> '{}'
from (select to_jsonb(u) as row from auth_user u union all select to_jsonb(p) from dispatch_patient p
      union all select to_jsonb(c) from dispatch_comment c union all select to_jsonb(n) from dispatch_notification n) r,
     jsonb_each(row) where jsonb_typeof(value) = 'string' and length(value #>> '{}') >= 10
"""


def _cells(dsn: str) -> frozenset[str]:
    with psycopg.connect(dsn) as connection:
        return frozenset(row[0] for row in connection.execute(_CELLS))


@contextmanager
def _database(cluster: Cluster) -> Iterator[None]:
    name = sql.Identifier("reported")
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(name))
        yield
        connection.execute(sql.SQL("drop database {} with (force)").format(name))
