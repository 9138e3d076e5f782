"""A small sample world on real PostgreSQL with the template deployed in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from moto import mock_aws
from psycopg import sql

from hybrid_sync.catalog.load import load
from hybrid_sync.schema.install import install
from hybrid_sync_cli.sample import generate
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.integration.deployment import REGION, Deployment

PASSWORD = "only-for-tests"
SCALE = 0.001


@pytest.fixture(scope="module")
def deployment(
    postgres: Cluster, supabase_postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One deployment for the tests of a module: they follow one run from its start to its end."""
    with ExitStack() as stack:
        stack.enter_context(_database(postgres, "deployed"))
        stack.enter_context(_database(supabase_postgres, "deployed"))
        superuser = supabase_postgres.dsn("deployed")
        supabase.bootstrap(superuser, admin_password=PASSWORD, authenticator_password=PASSWORD)
        legacy, admin = postgres.dsn("deployed"), supabase_postgres.dsn("deployed", supabase.ADMIN, PASSWORD)
        generate(legacy, admin, SCALE, seed=7)
        worker = install(admin, PASSWORD, load(Path("layers/catalog")))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        layer = tmp_path_factory.mktemp("layer")
        for name in ("catalog", "vendored"):
            (layer / f"hybrid_sync_{name}").symlink_to(Path("layers", name).resolve())
        patch.syspath_prepend(layer)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        stack.enter_context(mock_aws())
        yield Deployment(patch, legacy, worker)


@contextmanager
def _database(cluster: Cluster, name: str) -> Iterator[None]:
    identifier = sql.Identifier(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(identifier))
        yield
        connection.execute(sql.SQL("drop database {} with (force)").format(identifier))
