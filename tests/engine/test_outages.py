"""A database that dies, drops us or cuts the wire costs time, not data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync import opening
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import BatchTask, EntityTask, RunRequest
from hybrid_sync.errors import LegacyReplaced, LegacyUnavailable, SyncError, TargetUnavailable
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.conftest import PASSWORD
from tests.crash import crash
from tests.engine.conftest import DOMAIN, Query
from tests.engine.proxy import Wire
from tests.engine.worlds import EngineWorld, run


@pytest.fixture
def mortal(session_home: Path) -> Iterator[tuple[EngineWorld, Cluster, Cluster]]:
    """A world over two servers that a test may kill."""
    processes = Processes(session_home)
    legacy = Cluster("mortal-legacy", home.reachable(session_home) / "ml", "postgres", PASSWORD, processes)
    target = Cluster("mortal-target", home.reachable(session_home) / "mt", supabase.SUPERUSER, PASSWORD, processes)
    try:
        legacy.ensure()
        target.ensure()
        supabase.bootstrap(target.dsn(), admin_password=PASSWORD, authenticator_password=PASSWORD)
        owner = target.dsn("postgres", supabase.ADMIN, PASSWORD)
        for dsn, script in ((legacy.dsn(), "legacy.sql"), (owner, "target.sql")):
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute((DOMAIN / script).read_bytes())
        catalog = load(DOMAIN / "catalog")
        yield EngineWorld(catalog, legacy.dsn(), install(owner, PASSWORD, catalog)), legacy, target
    finally:
        legacy.destroy()
        target.destroy()


def kill(cluster: Cluster) -> None:
    """SIGKILL for the server and every one of its backends."""
    process = cluster.processes.recorded(cluster.name)
    assert process is not None
    crash(process)


def revive(cluster: Cluster) -> None:
    cluster.ensure(cluster.port)


def people_batch(world: EngineWorld, run_id: str) -> BatchTask:
    plan_run(world, RunRequest(run_id=run_id))
    for entity in ("clinics", "people"):
        plan_entity(world, EntityTask(run_id=run_id, entity=entity))
    sync_batch(world, world.manifests.tasks[run_id, "clinics"][0])
    return world.manifests.tasks[run_id, "people"][0]


def rows(world: EngineWorld, table: str) -> int:
    with world.connect_target() as target:
        found = target.execute(f"select count(*) from {table} where legacy_id is not null".encode()).fetchone()
        assert found is not None
        return int(found[0])


def test_legacy_killed_in_mid_run_is_transient_and_the_next_run_completes(
    mortal: tuple[EngineWorld, Cluster, Cluster],
) -> None:
    world, legacy, _ = mortal
    batch = people_batch(world, "r")
    kill(legacy)
    with pytest.raises(LegacyUnavailable) as caught:
        sync_batch(world, batch)
    assert caught.value.transient
    assert rows(world, "people") == 0
    revive(legacy)
    with pytest.raises(LegacyReplaced, match="begun anew"):
        sync_batch(world, batch)
    assert run(world, "next").outcome.status == "succeeded"


def test_target_killed_in_mid_run_is_transient_and_the_next_run_completes(
    mortal: tuple[EngineWorld, Cluster, Cluster],
) -> None:
    world, _, target = mortal
    batch = people_batch(world, "r")
    kill(target)
    with pytest.raises(TargetUnavailable) as caught:
        sync_batch(world, batch)
    assert caught.value.transient
    revive(target)
    assert sync_batch(world, batch).inserted == 12
    assert run(world, "next").outcome.status == "succeeded"
    assert rows(world, "people") == 12


@pytest.mark.parametrize("side", ["legacy", "target"])
def test_a_terminated_backend_is_transient_and_leaves_nothing(
    world: EngineWorld, legacy: Query, target: Query, side: str
) -> None:
    batch = people_batch(world, "r")
    ours = "application_name = 'hybrid-sync' and pid <> pg_backend_pid() and datname = current_database()"
    terminate = f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}"
    original = world.id_cache.get

    def get(*arguments: object) -> object:
        (legacy if side == "legacy" else target)(terminate)
        world.id_cache.get = original  # type: ignore[method-assign]
        return original(*arguments)  # type: ignore[arg-type]

    world.id_cache.get = get  # type: ignore[method-assign, assignment]
    try:
        sync_batch(world, batch)
    except SyncError as error:
        assert error.transient
        assert rows(world, "people") == 0
    sync_batch(world, batch)
    assert rows(world, "people") == 12


def test_a_wire_that_is_cut_after_commit_does_not_double_the_batch(world: EngineWorld, target: Query) -> None:
    batch = people_batch(world, "r")
    parts = conninfo_to_dict(world.target_dsn)
    wire = Wire(str(parts["host"]), int(str(parts["port"])))
    world.target_dsn = make_conninfo(world.target_dsn, port=wire.port)
    wire.cut_after = lambda data: wire.cuts == 0 and b"; commit" in data and b"close_batch" in data
    sync_batch(world, batch)
    wire.close()
    assert wire.cuts == 1
    assert target("select count(*) from people") == [(12,)]
    assert target("select count(*) from hybrid_sync.batch_done where entity = 'people'") == [(1,)]
    assert target("select count(*) from hybrid_sync.journal where entity = 'people' and operation = 'insert'") == [(1,)]


@pytest.mark.parametrize(
    ("side", "answer"), [("legacy", b"BEGIN"), ("legacy", b"PGCOPY"), ("target", b"BEGIN"), ("target", b"COMMIT")]
)
def test_a_path_that_dies_in_silence_is_transient_and_doubles_nothing(
    world: EngineWorld, target: Query, monkeypatch: pytest.MonkeyPatch, side: str, answer: bytes
) -> None:
    monkeypatch.setattr(opening, "_AT_ONCE", 0.02)
    batch = people_batch(world, "r")
    usual = getattr(world, f"{side}_dsn")
    parts = conninfo_to_dict(usual)
    wire = Wire(str(parts["host"]), int(str(parts["port"])))
    wire.silent_from = lambda data: answer in data
    setattr(world, f"{side}_dsn", make_conninfo(usual, port=wire.port))
    with pytest.raises(LegacyUnavailable if side == "legacy" else TargetUnavailable):
        sync_batch(world, batch)
    setattr(world, f"{side}_dsn", usual)
    wire.close()
    assert sync_batch(world, batch).inserted == 12
    assert run(world, "next").outcome.status == "succeeded"
    assert target("select count(*) from people") == [(12,)]
    assert target("select count(*) from hybrid_sync.journal where entity = 'people' and operation = 'insert'") == [(1,)]
