"""Changes found by timestamp: nothing is missed, nothing is assumed, and what cannot be proved is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.errors import MissingPrivilege
from hybrid_sync.legacy.fence import current_fence
from hybrid_sync.schema.install import install
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import wait_until
from tests.conftest import PASSWORD
from tests.engine.conftest import Query, copied
from tests.engine.worlds import EngineWorld, run

READER = "blind_reader"
"""May read the tables of legacy, and does not see when its writers began."""


def catalog(table: str = "note", **more: Any) -> Catalog:
    """Notes, read by the time of their last change."""
    notes = Entity.model_validate(
        {
            "entity": "notes", "target": "notes", "detect": "timestamp",
            "sources": {
                "note": {
                    "from": f"{table} n", "key": {"legacy_id": "n.id"}, "changed_at": "n.updated_at",
                    "columns": {"body": "n.body"},
                }
            },
            **more,
        }
    )  # fmt: skip
    return Catalog({"notes": notes})


def fill(legacy_dsn: str) -> None:
    """Notes whose times lie long ago, so that none is read again for safety's sake."""
    execute(
        legacy_dsn,
        "create table note (id serial primary key, body text, updated_at timestamptz default '2020-01-01Z');"
        " insert into note (body) select 'note ' || i from generate_series(1, 4) i",
    )


def execute(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.encode())


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    fill(legacy_db)
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("create table notes (id uuid primary key, legacy_id bigint unique, body text)")
    return EngineWorld(catalog(), legacy_db, install(target_db, "only-for-tests", catalog()))


def bodies(target: Query) -> dict[int, str]:
    return dict(target("select legacy_id, body from notes"))


def refused(target: Query, run_id: str) -> str:
    """The sentence with which the entity failed; its fence is still the first run's."""
    [(failure,)] = target("select failure from hybrid_sync.run_entity where run_id = %s", run_id)
    assert failure["code"] == "missing_privilege"
    assert target("select run_id from hybrid_sync.fence where fence is not null") == [("first",)]
    return str(failure["text"])


# --- what is read --------------------------------------------------------------------------------------------------


def test_only_what_is_stamped_since_the_last_run_is_read(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first", profile="daily")
    legacy("update note set body = 'stamped', updated_at = now() where id = 2")
    done = run(world, "second", profile="daily")
    assert done.total("notes")["read"] == 1
    assert bodies(target)[2] == "stamped"
    assert done.outcome.status == "succeeded"


def test_a_writer_that_began_before_the_run_and_commits_after_it_is_not_missed(
    world: EngineWorld, target: Query
) -> None:
    with world.connect_legacy() as late, world.connect_legacy() as later:
        late.execute("begin")
        late.execute("update note set body = 'late', updated_at = now() where id = 1")
        later.execute("update note set body = 'later', updated_at = clock_timestamp() where id = 2")
        run(world, "first", profile="daily")
        late.execute("commit")
    run(world, "second", profile="daily")
    assert bodies(target)[1] == "late"


def test_the_bound_lies_before_the_begin_of_the_oldest_writer(world: EngineWorld) -> None:
    """And a minute more, because a session tells its begin a moment after it."""
    with world.connect_legacy() as late, world.connect_legacy() as legacy, late.transaction():
        [(began,)] = late.execute("select now()").fetchall()
        with legacy.transaction():
            settled = current_fence(legacy).settled_until
    assert settled is not None
    assert datetime.fromisoformat(settled) <= began - timedelta(minutes=1)


@pytest.mark.parametrize("moment", ["null", "now() + interval '1 year'"])
def test_a_row_without_a_time_or_with_one_to_come_is_read_every_time(
    world: EngineWorld, legacy: Query, target: Query, moment: str
) -> None:
    legacy(f"update note set updated_at = {moment} where id = 1")
    run(world, "first", profile="daily")
    for body in ("edited", "edited again"):
        legacy(f"update note set body = '{body}' where id = 1")
        assert run(world, body.replace(" ", "-"), profile="daily").total("notes")["read"] == 1
        assert bodies(target)[1] == body


def test_a_time_to_come_that_has_come_meanwhile_is_not_skipped(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    # Since the fence a year has gone by in which the row's time was to come, and then came.
    target(
        "update hybrid_sync.fence set fence = jsonb_set(fence::jsonb, '{settled_until}',"
        " to_jsonb(to_char(now() - interval '1 year', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))"
    )
    legacy("update note set body = 'edited', updated_at = now() - interval '6 months' where id = 1")
    assert run(world, "second", profile="daily").total("notes")["read"] == 1
    assert bodies(target)[1] == "edited"


def test_a_time_that_is_the_bound_itself_is_inside(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first", profile="daily")
    [(until,)] = target("select fence->>'settled_until' from hybrid_sync.fence")
    legacy("update note set body = 'at the bound', updated_at = %s where id = 3", until)
    run(world, "second", profile="daily")
    assert bodies(target)[3] == "at the bound"


def test_a_change_while_the_run_reads_is_read_by_the_next_one(
    world: EngineWorld, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is older than the first read: what commits in between lies behind it."""
    run(world, "first", profile="daily")
    connect, steps = world.connect_legacy, iter(["plan run", "plan entity", "sync batch", "verify"])
    writes = {"plan entity": "after the fence", "verify": "after the batch"}

    def connect_legacy() -> Any:
        if body := writes.get(next(steps)):
            execute(world.legacy_dsn, f"update note set body = '{body}', updated_at = clock_timestamp() where id = 1")
        return connect()

    monkeypatch.setattr(world, "connect_legacy", connect_legacy)
    assert run(world, "second", profile="daily").total("notes")["read"] == 1
    monkeypatch.undo()
    assert bodies(target)[1] == "after the fence"
    run(world, "third", profile="daily")
    assert bodies(target)[1] == "after the batch"


# --- the bound cannot be proved ------------------------------------------------------------------------------------


@pytest.fixture
def blind(world: EngineWorld, legacy: Query, legacy_db: str) -> Iterator[EngineWorld]:
    """After a first run as the owner, legacy is read by a role that does not see what others do."""
    run(world, "first", profile="daily")
    legacy(f"create role {READER} login password '{PASSWORD}'; grant select on note to {READER}")
    world.legacy_dsn = make_conninfo(legacy_db, user=READER, password=PASSWORD)
    yield world
    with psycopg.connect(legacy_db, autocommit=True) as connection:
        connection.execute(sql.SQL("drop owned by {role}; drop role {role}").format(role=sql.Identifier(READER)))


def test_without_the_right_to_see_writers_a_run_by_time_stops_and_names_the_grant(
    blind: EngineWorld, legacy_db: str, legacy: Query, target: Query
) -> None:
    with psycopg.connect(legacy_db) as late:
        late.execute("update note set body = 'late', updated_at = now() where id = 1")
        run(blind, "second", profile="daily")
        assert "grant pg_read_all_stats" in refused(target, "second")
    legacy(f"grant pg_read_all_stats to {READER}")
    assert run(blind, "third", profile="daily").outcome.status == "succeeded"
    assert bodies(target)[1] == "late"


def test_reading_everything_does_not_move_a_fence_whose_bound_cannot_be_proved(
    blind: EngineWorld, target: Query
) -> None:
    target("update hybrid_sync.fence set definition_hash = 'another'")
    run(blind, "second", profile="daily")
    assert "grant pg_read_all_stats" in refused(target, "second")


def test_a_fence_without_a_bound_makes_the_next_run_read_everything(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    target("update hybrid_sync.fence set fence = jsonb_set(fence::jsonb, '{settled_until}', 'null')")
    legacy("update note set body = 'edited' where id = 1")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert bodies(target)[1] == "edited"
    assert target("select detection, detection_reason from hybrid_sync.run_entity where run_id = 'second'") == [
        ("full", "unsettled")
    ]


def test_a_session_that_tells_no_times_stops_a_run_by_time(world: EngineWorld, legacy_db: str, target: Query) -> None:
    run(world, "first", profile="daily")
    with psycopg.connect(legacy_db) as silent:
        silent.execute("set track_activities = off")
        silent.commit()
        silent.execute("update note set body = 'silent', updated_at = now() where id = 1")
        run(world, "second", profile="daily")
        assert "track_activities" in refused(target, "second")
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert bodies(target)[1] == "silent"


def test_while_a_transaction_is_prepared_a_run_by_time_stops_and_says_so(
    world: EngineWorld, own_legacy: Cluster, target: Query
) -> None:
    own_legacy.stop()
    with (own_legacy.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("max_prepared_transactions = 5\n")
    own_legacy.ensure()
    world.legacy_dsn = own_legacy.dsn()
    fill(world.legacy_dsn)
    run(world, "first", profile="daily")
    with psycopg.connect(world.legacy_dsn, autocommit=True) as writer:
        writer.execute("begin")
        writer.execute("update note set body = 'prepared', updated_at = now() where id = 1")
        writer.execute("prepare transaction 'for later'")
        run(world, "second", profile="daily")
        assert "prepared transaction" in refused(target, "second")
        writer.execute("commit prepared 'for later'")
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert bodies(target)[1] == "prepared"


def test_after_the_clock_was_set_back_everything_is_read_once(world: EngineWorld, legacy: Query, target: Query) -> None:
    """The run before was made by a clock that went ahead: what is stamped now looks older than what it read."""
    run(world, "first", profile="daily")
    ahead = "to_char(now() at time zone 'UTC' + interval '2 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    target(
        "update hybrid_sync.fence set fence = fence ||"
        f" jsonb_build_object('taken_at', {ahead}, 'settled_until', {ahead}) where fence is not null"
    )
    legacy("update note set body = 'set right', updated_at = now() - interval '10 minutes' where id = 1")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert bodies(target)[1] == "set right"
    assert target("select detection_reason from hybrid_sync.run_entity where run_id = 'second'") == [("clock_back",)]
    assert run(world, "third", profile="daily").total("notes")["read"] == 0


def test_a_lag_that_the_catalog_states_serves_where_nothing_can_be_proved(
    blind: EngineWorld, legacy_db: str, legacy: Query, target: Query
) -> None:
    blind.catalog = catalog(lag_seconds=3600)
    with psycopg.connect(legacy_db) as late:
        late.execute("update note set body = 'late', updated_at = now() - interval '59 minutes' where id = 1")
        run(blind, "second", profile="daily")
    legacy("update note set body = 'too late', updated_at = now() - interval '2 hours' where id = 2")
    assert run(blind, "third", profile="daily").outcome.status == "succeeded"
    assert bodies(target) == {1: "late", 2: "note 2", 3: "note 3", 4: "note 4"}
    assert target("select detection from hybrid_sync.run_entity where run_id = 'third'") == [("timestamp",)]


# --- replicas and views --------------------------------------------------------------------------------------------


@pytest.fixture
def replica(world: EngineWorld, own_legacy: Cluster, session_home: Path) -> Iterator[Cluster]:
    """A replica that follows its primary, and is the legacy of the world."""
    fill(own_legacy.dsn())
    for copy in copied(own_legacy, session_home):
        with (copy.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{own_legacy.dsn()}'\n")
        copy.ensure()
        world.legacy_dsn = copy.dsn()
        yield copy


def follow(primary: Cluster, replica: Cluster) -> None:
    """Return when the replica has what the primary has now."""
    with psycopg.connect(primary.dsn(), autocommit=True) as connection:
        [(lsn,)] = connection.execute("select pg_current_wal_insert_lsn()::text").fetchall()
    with psycopg.connect(replica.dsn(), autocommit=True) as connection:

        def caught_up() -> bool:
            row = connection.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,)).fetchone()
            return row is not None and bool(row[0])

        wait_until(caught_up, seconds=60, failed=lambda: None, what="The replica")


def test_on_a_replica_no_commit_snapshot_is_taken(world: EngineWorld, replica: Cluster, target: Query) -> None:
    world.catalog = catalog(detect="commit_fence")
    with pytest.raises(MissingPrivilege, match=r"read replica.*notes"):
        run(world, "first", profile="daily")
    assert target("select from hybrid_sync.run") == []


def test_on_a_replica_a_run_by_time_stops_unless_the_catalog_states_a_lag(
    world: EngineWorld, own_legacy: Cluster, replica: Cluster, target: Query
) -> None:
    world.catalog = catalog(lag_seconds=600)
    assert run(world, "first").outcome.status == "succeeded"
    world.catalog = catalog()
    run(world, "second")
    assert "read replica" in refused(target, "second")
    world.catalog = catalog(lag_seconds=600)
    execute(own_legacy.dsn(), "update note set body = 'replayed', updated_at = now() where id = 1")
    follow(own_legacy, replica)
    third = run(world, "third")
    assert third.outcome.status == "succeeded"
    assert third.total("notes")["read"] == 1
    assert bodies(target)[1] == "replayed"


def test_what_a_replica_has_not_replayed_is_read_by_a_later_run(
    world: EngineWorld, own_legacy: Cluster, replica: Cluster, target: Query
) -> None:
    world.catalog = catalog(lag_seconds=0)
    execute(own_legacy.dsn(), "update note set body = 'seen', updated_at = now() where id = 2")
    follow(own_legacy, replica)
    execute(replica.dsn(), "select pg_wal_replay_pause()")
    execute(own_legacy.dsn(), "update note set body = 'behind', updated_at = now() where id = 1")
    run(world, "first", profile="daily")
    execute(replica.dsn(), "select pg_wal_replay_resume()")
    follow(own_legacy, replica)
    run(world, "second", profile="daily")
    assert bodies(target)[1] == "behind"


def test_a_view_is_read_and_verified_by_time(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("create view shown as select id, upper(body) as body, updated_at from note")
    world.catalog = catalog("shown", view_is_whole="it has no filter")
    assert run(world, "first", profile="daily").outcome.status == "succeeded"
    legacy("update note set body = 'edited', updated_at = now() where id = 1")
    legacy("update note set body = 'timeless', updated_at = null where id = 2")
    second = run(world, "second")
    assert second.outcome.status == "succeeded"
    assert second.total("notes")["read"] == 2
    assert bodies(target) == {1: "EDITED", 2: "TIMELESS", 3: "NOTE 3", 4: "NOTE 4"}
    assert second.verdicts["notes"].fence_advanced
