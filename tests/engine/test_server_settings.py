"""Settings of our role, or of the target's database, under which a success would not be one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest

from hybrid_sync.errors import ConfigurationMissing, LegacyUnavailable
from hybrid_sync.failpoints import armed
from hybrid_sync.pool import Pool
from hybrid_sync.postgres import Connection, connect, transaction
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.erasing import erase_people, preview
from hybrid_sync.services.messages.erasing import EraseAsked
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import RollbackTask, rollback_run
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.erasures import with_erasure
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects


@contextmanager
def set_for_us(projects: Projects, world: EngineWorld, setting: str) -> Iterator[None]:
    """As the server's superuser may do for the worker, in this database."""
    name = psycopg.conninfo.conninfo_to_dict(world.target_dsn)["dbname"]
    with psycopg.connect(projects.server.dsn(), autocommit=True) as server:
        server.execute(f'alter role hybrid_sync_worker in database "{name}" set {setting}'.encode())
    world.pool.close()
    yield
    with psycopg.connect(projects.server.dsn(), autocommit=True) as server:
        server.execute(f'alter role hybrid_sync_worker in database "{name}" reset all'.encode())
    world.pool.close()


def test_nothing_is_written_where_foreign_keys_and_triggers_would_not_apply(
    world: EngineWorld, projects: Projects, target: Query
) -> None:
    run(world, "first")
    with set_for_us(projects, world, "session_replication_role = replica"):
        for request in ({}, {"profile": "on_demand", "refs": [{"entity": "people", "legacy_id": 1}]}):
            with pytest.raises(ConfigurationMissing, match="session_replication_role"):
                run(world, "second", **request)
        with pytest.raises(ConfigurationMissing, match="session_replication_role"):
            rollback_run(world, RollbackTask(run_id="first"))
    assert target("select count(*) from hybrid_sync.run") == [(1,)]
    with set_for_us(projects, world, "session_replication_role = local"):
        assert run(world, "third").outcome.status == "succeeded"


def test_nothing_is_written_where_replica_mode_comes_in_mid_run_or_before_a_retry(
    world: EngineWorld, projects: Projects, legacy: Query, target: Query
) -> None:
    target("alter table visits add constraint known check (note <> 'visit 1')")
    run(world, "first")
    target("alter table visits drop constraint known")
    [message] = world.failure_queue.messages
    legacy("update person set email = 'new@example.org' where id = 3")
    modes = ExitStack()

    def switch() -> None:
        modes.enter_context(set_for_us(projects, world, "session_replication_role = replica"))
        world.pool = Pool()  # what follows is done in new sessions

    with modes:
        with (
            armed({"run.recorded": Do(switch)}),
            pytest.raises(ConfigurationMissing, match="session_replication_role"),
        ):
            run(world, "second", profile="daily")
        with pytest.raises(ConfigurationMissing, match="session_replication_role"):
            retry_failure(world, message)
    assert target("select count(*) from people where email = 'new@example.org'") == [(0,)]
    # The retry is refused before it is a run of its own.
    assert target("select run_id, status from hybrid_sync.run where run_id <> 'first'") == [("second", "failed")]
    assert target("select max(attempts) from hybrid_sync.failed_record") == [(0,)]


class Durability:
    """What the commits that come next will wait for."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def fire(self, name: str, connections: tuple[Connection, ...]) -> None:
        for connection in connections:
            if "target" in str(connection.info.dbname):
                self.found += connection.execute("show synchronous_commit").fetchall()[0]


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_what_is_said_to_be_committed_outlasts_a_crash(
    world: EngineWorld, projects: Projects, given: str, used: str
) -> None:
    seen = Durability()
    points = ("run.creating", "batch.before_commit", "verify.recording", "report.finished")
    with set_for_us(projects, world, f"synchronous_commit = {given}"), armed(dict.fromkeys(points, seen)) as plan:
        run(world, "first")
    assert set(plan.fired) == set(points)
    assert set(seen.found) == {used}
    assert len(seen.found) >= len(points)


def test_a_foreign_key_whose_triggers_are_off_proves_nothing(
    world: EngineWorld, projects: Projects, legacy: Query, target: Query
) -> None:
    """A parent that goes on both sides leaves rows that refer to nothing, and a daily run says so."""
    run(world, "first")
    name = psycopg.conninfo.conninfo_to_dict(world.target_dsn)["dbname"]
    with psycopg.connect(projects.server.dsn(name), autocommit=True) as owner:
        owner.execute("alter table clinics disable trigger all")
        owner.execute("alter table people disable trigger all")
    legacy("delete from clinic where id = 2")
    target("delete from clinics where legacy_id = 2")
    done = run(world, "second", profile="daily")
    assert done.outcome.status == "failed"
    assert ("people",) in target(
        "select entity from hybrid_sync.run_entity where run_id = 'second' and status <> 'verified'"
    )


def test_nobody_is_erased_where_foreign_keys_would_not_apply_or_the_schema_is_older(
    world: EngineWorld, projects: Projects, target: Query
) -> None:
    with_erasure(world)
    run(world, "first")
    desk = cast(
        Desk,
        SimpleNamespace(
            catalog=world.catalog, id_secret=world.id_secret, erasures=world.erasures, now=lambda: datetime.now(UTC),
            connect_legacy=world.connect_legacy, connect_target=world.connect_target,
        ),
    )  # fmt: skip
    asked = EraseAsked.model_validate({"rows": [{"entity": "people", "key": [3]}], "why": "asked by letter"})
    people = target("select * from people order by id")
    with (
        set_for_us(projects, world, "session_replication_role = replica"),
        pytest.raises(ConfigurationMissing, match="session_replication_role"),
    ):
        erase_people(desk, asked, "somebody")
    newest = "(select max(name) from hybrid_sync.migration)"
    [(name,)] = target(f"delete from hybrid_sync.migration where name = {newest} returning name")
    for refused in (lambda: preview(desk, asked, "somebody"), lambda: erase_people(desk, asked, "somebody")):
        with pytest.raises(ConfigurationMissing, match="older version"):
            refused()
    assert target("select * from people order by id") == people
    target("insert into hybrid_sync.migration select (jsonb_populate_record(m, jsonb_build_object('name', %s::text))).*"
           " from hybrid_sync.migration m limit 1", name)  # fmt: skip
    assert erase_people(desk, asked, "somebody").pseudonymised == {"people": 1, "visits": 1}


def test_a_limit_of_temporary_files_is_named(legacy_db: str) -> None:
    with (
        connect(legacy_db, "legacy") as legacy,
        pytest.raises(LegacyUnavailable, match=r"temp_file_limit.*raise") as told,
        transaction(legacy, "legacy", read_only=True),
    ):
        legacy.execute("set local temp_file_limit = '64kB'; set local work_mem = '64kB'")
        legacy.execute("select count(*) from (select i from generate_series(1, 100000) i order by -i offset 0) s")
    assert told.value.transient


def test_names_that_are_quoted_from_a_moment_of_the_run_on_are_no_other_table(
    world: EngineWorld, projects: Projects, target: Query
) -> None:
    modes = ExitStack()

    def switch() -> None:
        modes.enter_context(set_for_us(projects, world, "quote_all_identifiers = on"))
        world.pool = Pool()  # what follows is done in new sessions

    with modes, armed({"batch.committed": Do(switch)}):
        assert run(world, "first").outcome.status == "succeeded"
        assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target("select distinct detection from hybrid_sync.run_entity where run_id = 'second'") == [("fence",)]
