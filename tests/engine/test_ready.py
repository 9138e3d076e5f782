"""What a worker says of a target that is not ready for it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.failpoints import armed
from hybrid_sync.schema.install import WORKER
from hybrid_sync.schema.ready import require_installed
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects


@pytest.fixture
def bound(target_db: str, projects: Projects) -> Iterator[None]:
    """The worker's role is no longer excused from row security."""
    with psycopg.connect(projects.server.dsn(conninfo_to_dict(target_db)["dbname"]), autocommit=True) as superuser:
        superuser.execute(f"alter role {WORKER} nobypassrls".encode())
        try:
            yield
        finally:
            superuser.execute(f"alter role {WORKER} bypassrls".encode())


def test_a_worker_that_has_lost_bypassrls_says_so_and_writes_nothing(
    world: EngineWorld, bound: None, target: Query
) -> None:
    with world.connect_target() as connection, pytest.raises(ConfigurationMissing, match="lost BYPASSRLS"):
        require_installed(connection)
    with pytest.raises(ConfigurationMissing, match="lost BYPASSRLS"):
        run(world, "first")
    assert target("select count(*) from people") == [(0,)]


def test_a_worker_that_loses_bypassrls_while_a_run_is_at_work_says_so_at_once(
    world: EngineWorld, target: Query, target_db: str, projects: Projects
) -> None:
    with psycopg.connect(projects.server.dsn(conninfo_to_dict(target_db)["dbname"]), autocommit=True) as superuser:
        taken = Do(lambda: superuser.execute(f"alter role {WORKER} nobypassrls".encode()))
        try:
            with armed({"batch.committed": taken}), pytest.raises(ConfigurationMissing, match="lost BYPASSRLS"):
                run(world, "first")
        finally:
            superuser.execute(f"alter role {WORKER} bypassrls".encode())
    assert target("select count(*) from hybrid_sync.fence where fence is not null") == [(0,)]


def test_a_schema_of_an_older_version_is_said_to_be_one(world: EngineWorld, target: Query) -> None:
    target("delete from hybrid_sync.migration where name = (select max(name) from hybrid_sync.migration)")
    with world.connect_target() as connection, pytest.raises(ConfigurationMissing, match="of an older version"):
        require_installed(connection)
