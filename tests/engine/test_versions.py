"""A week on each major version that is supported and that no other test plays on: both sides at once.

18 is the stack's own, and `make cases` plays 18 and 15 at length; `HYBRID_SYNC_PG_BIN` takes any test elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import Ref, RollbackTask
from hybrid_sync.schema.install import install
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.conftest import PASSWORD
from tests.engine.conftest import DOMAIN
from tests.engine.mapped import differing, mapped
from tests.engine.test_rollback import WEEK
from tests.engine.worlds import EngineWorld, run
from tests.servers import versions


@pytest.fixture(params=versions.FROM_NPM)
def server(request: pytest.FixtureRequest, session_home: Path) -> Iterator[Cluster]:
    """A server of one version with Supabase's roles."""
    name = f"postgres-{request.param}"
    cluster = Cluster(name, home.reachable(session_home) / name, supabase.SUPERUSER, PASSWORD, Processes(session_home))
    cluster.binaries = versions.of(request.param)
    try:
        cluster.ensure()
        supabase.bootstrap(cluster.dsn(), admin_password=PASSWORD, authenticator_password=PASSWORD)
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture
def versioned(server: Cluster) -> EngineWorld:
    """Legacy and target of the same version, the engine's role in the target by an owner who is no superuser."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("create database legacy")
    with psycopg.connect(server.dsn("legacy"), autocommit=True) as legacy:
        legacy.execute((DOMAIN / "legacy.sql").read_bytes())
    owner = server.dsn(user=supabase.ADMIN, password=PASSWORD)
    with psycopg.connect(owner, autocommit=True) as target:
        target.execute((DOMAIN / "target.sql").read_bytes())
    catalog = load(DOMAIN / "catalog")
    return EngineWorld(catalog, server.dsn("legacy"), install(owner, PASSWORD, catalog))


def test_a_week_a_day_a_request_a_check_and_a_rollback(versioned: EngineWorld, server: Cluster) -> None:
    first = run(versioned, "first", profile="weekly")
    assert first.outcome.status == "succeeded"
    with psycopg.connect(server.dsn(), autocommit=True) as target:
        before = mapped(target, versioned.catalog)
    with psycopg.connect(server.dsn("legacy"), autocommit=True) as legacy:
        legacy.execute(WEEK.encode())
        legacy.execute("delete from letter where id = (select min(id) from letter)")

    daily = run(versioned, "daily", profile="daily")
    assert daily.outcome.status == "succeeded"
    asked = run(versioned, "asked", profile="on_demand", refs=(Ref(entity="visits", legacy_id=100),))
    assert asked.outcome.status == "succeeded"
    assert run(versioned, "weekly", profile="weekly").outcome.status == "succeeded"
    assert run(versioned, "verify", profile="verify").outcome.status == "succeeded"
    for run_id in ("weekly", "daily"):
        undone = rollback_run(versioned, RollbackTask(run_id=run_id)).undone
        assert undone is not None and undone.conflicts == {}

    with psycopg.connect(server.dsn(), autocommit=True) as target:
        assert differing(before, mapped(target, versioned.catalog)) == set()
