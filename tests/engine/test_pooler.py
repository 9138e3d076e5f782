"""All works through a pooler with few connections, in transaction mode too: nothing of ours lives in a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.contracts import Ref, RollbackTask
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.postgres import connect
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.mapped import Mapped, differing, mapped
from tests.engine.test_rollback import WEEK
from tests.engine.worlds import EngineWorld, run
from tests.servers.pgbouncer import Mode, Pooler, pooled

SLOTS = 2
"""Server connections for each database: as many as a step uses at once."""


@pytest.fixture(params=["transaction", "session"])
def pooler(request: pytest.FixtureRequest, world: EngineWorld, session_home: Path) -> Iterator[Pooler]:
    """A pooler for both databases; the world goes through it from here on."""
    mode: Mode = request.param
    with pooled(session_home, mode, SLOTS, world.legacy_dsn, world.target_dsn) as pooler:
        world.legacy_dsn, world.target_dsn = pooler.through(world.legacy_dsn), pooler.through(world.target_dsn)
        yield pooler
        world.pool.close()


def now(world: EngineWorld, dsn: str) -> Mapped:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return mapped(connection, world.catalog)


def test_weekly_on_demand_and_rollback_need_two_server_connections_a_database(
    world: EngineWorld, pooler: Pooler, legacy: Query, target_db: str
) -> None:
    assert run(world, "first").outcome.status == "succeeded"
    before = now(world, target_db)
    legacy(WEEK)

    assert run(world, "second", profile="weekly").outcome.status == "succeeded"

    legacy("update visit set note = 'asked for' where id = 100")
    asked = run(world, "third", profile="on_demand", refs=(Ref(entity="visits", legacy_id=100),))
    assert (asked.outcome.status, asked.total("visits")["updated"]) == ("succeeded", 1)
    for run_id in ("third", "second"):
        outcome = rollback_run(world, RollbackTask(run_id=run_id))
        assert not outcome.more
        assert outcome.undone is not None and outcome.undone.conflicts == {}
    assert differing(before, now(world, target_db)) == set()
    for dsn in (world.legacy_dsn, world.target_dsn):
        assert pooler.server_connections(str(conninfo_to_dict(dsn)["dbname"])) <= SLOTS


def test_nothing_that_a_pooler_refuses_reaches_it(
    world: EngineWorld, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(world.target_dsn)

    connect(world.target_dsn, "target").close()

    with pytest.raises(ConfigurationMissing, match="sets `options`, which connection poolers refuse"):
        connect(f"{world.target_dsn} options='-c work_mem=1MB'", "target")
