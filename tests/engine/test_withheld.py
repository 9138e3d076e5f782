"""A server that does not tell its identity, as Aurora's and some hosts': its start stands for its history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.errors import LegacyReplaced, MissingPrivilege
from hybrid_sync.legacy import fence
from hybrid_sync.postgres import connect, transaction
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync_cli.stack.postgres import Cluster
from tests.conftest import PASSWORD
from tests.engine.conftest import Query, copied
from tests.engine.worlds import EngineWorld, run

READER = "withheld_reader"
# What the real ones raise: Aurora without logical replication, Aurora for what it does not have, a host that revokes.
# A built-in function is called by its number, so it has to step aside for its stub, in the database of a test.
_RAISES = """
alter function pg_catalog.{0}() rename to {0}_that_answers;
create function pg_catalog.{0}{1} language plpgsql as $$
begin raise exception using errcode = '{2}', message = '{3}'; end $$
"""
_SYSTEM = (
    "(out pg_control_version integer, out catalog_version_no integer, out system_identifier bigint,"
    " out pg_control_last_modified timestamptz)"
)
WITHHOLDS = {
    "aurora": _RAISES.format(
        "pg_current_wal_insert_lsn", "() returns pg_lsn", "55000", "wal_level must be set to logical"
    ),
    "aurora_absent": _RAISES.format(
        "pg_control_system", _SYSTEM, "0A000", "Function pg_control_system() is currently not supported for Aurora"
    ),
    "revoked": "revoke execute on function pg_catalog.pg_control_system() from public",
}


@pytest.fixture(params=WITHHOLDS)
def withheld(request: pytest.FixtureRequest, world: EngineWorld) -> Iterator[EngineWorld]:
    """A legacy database whose reader is not told which server it is."""
    owner = world.legacy_dsn
    with psycopg.connect(owner, autocommit=True) as legacy:
        withhold(legacy, request.param)
    world.legacy_dsn = make_conninfo(owner, user=READER, password=PASSWORD)
    yield world
    world.pool.close()
    with psycopg.connect(owner, autocommit=True) as legacy:
        legacy.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(READER)))


def withhold(legacy: psycopg.Connection[tuple[object, ...]], how: str) -> None:
    """From here on the server does not tell; and a role that may only read."""
    legacy.execute(WITHHOLDS[how].encode())
    reader = sql.Identifier(READER)
    legacy.execute(sql.SQL("create role {} login password {}").format(reader, sql.Literal(PASSWORD)))
    legacy.execute(sql.SQL("grant select on all tables in schema public to {}").format(reader))
    legacy.execute(sql.SQL("grant pg_read_all_stats to {}").format(reader))


def test_changes_are_found_by_their_commits_all_the_same(withheld: EngineWorld, legacy: Query, target: Query) -> None:
    assert run(withheld, "first").outcome.status == "succeeded"
    legacy("update person set email = 'changed@example.org' where id = 2")

    second = run(withheld, "second", profile="daily")

    assert (second.outcome.status, second.total("people")["read"], second.total("people")["updated"]) == (
        "succeeded", 1, 1,
    )  # fmt: skip
    assert target("select distinct detection from hybrid_sync.run_entity where run_id = 'second'") == [("fence",)]
    undone = rollback_run(withheld, RollbackTask(run_id="second")).undone
    assert undone is not None and undone.updated == 1


def test_after_a_restart_everything_is_read_again_and_a_run_does_not_read_on(
    own_legacy: Cluster, world: EngineWorld, target: Query
) -> None:
    with psycopg.connect(own_legacy.dsn(), autocommit=True) as legacy:
        withhold(legacy, "aurora")
    world.legacy_dsn = own_legacy.dsn(user=READER, password=PASSWORD)
    assert run(world, "first").outcome.status == "succeeded"
    planned = taken(world)

    own_legacy.stop()
    own_legacy.ensure(own_legacy.port)

    with connect(world.legacy_dsn, "legacy") as legacy_again:
        fence.keep_to(legacy_again, planned)
        with pytest.raises(LegacyReplaced), transaction(legacy_again, "legacy", read_only=True):
            legacy_again.execute("select 1")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target("select distinct detection from hybrid_sync.run_entity where run_id = 'second'") == [("full",)]


@pytest.fixture
def replica(own_legacy: Cluster, session_home: Path) -> Iterator[Cluster]:
    """A copy of a server that withholds."""
    with psycopg.connect(own_legacy.dsn(), autocommit=True) as legacy:
        withhold(legacy, "aurora_absent")
    yield from copied(own_legacy, session_home)


def test_a_replica_that_does_not_tell_what_it_has_replayed_is_refused(replica: Cluster, world: EngineWorld) -> None:
    replica.ensure()
    world.legacy_dsn = replica.dsn(user=READER, password=PASSWORD)

    with pytest.raises(MissingPrivilege, match="Aurora's writer endpoint"):
        run(world, "first")


def taken(world: EngineWorld) -> fence.Fence:
    with connect(world.legacy_dsn, "legacy") as legacy, transaction(legacy, "legacy", read_only=True):
        return fence.current_fence(legacy)
