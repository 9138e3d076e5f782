"""The primary key of a table is made after its first load, where nothing else needs it meanwhile."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest

from hybrid_sync.contracts import FailureMessage, Profile, RollbackTask, RunRequest
from hybrid_sync.errors import IndexUnmade, StructureMismatch
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.postgres import transaction
from hybrid_sync.steps.bulk_load import end_bulk
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.write.write import by_index
from tests.engine.bulk import LEFT, SHAPE, Look
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table owners (id int primary key, name text);
create table things (id int primary key, owner_id int, size int);
insert into owners select n, 'o' || n from generate_series(1, 40) n;
insert into things select n, 1 + n % 40, n from generate_series(1, 400) n;
"""
TARGET = """
create table owners (id uuid default gen_random_uuid(), legacy_id int unique, name text,
  constraint "the key" primary key (id) include (name));
comment on constraint "the key" on owners is 'who has ''it''';
create table things (id uuid primary key, legacy_id int unique, size int,
  owner_id uuid not null references owners on delete cascade);
"""
KEYS = "select conrelid::regclass::text from pg_constraint where contype = 'p' and conrelid in ({}) order by 1"
NEEDED = {
    "a foreign key of a table that nobody maps": "create table notes (owner_id uuid references owners)",
    "a view that groups by it": "create view v as select id, name, count(*) from owners group by id",
    "the identity of replicated rows": 'alter table owners replica identity using index "the key"',
    "an order on the disk": 'alter table owners cluster on "the key"',
    "a comment on its index": """comment on index "the key" is 'about the index'""",
    "a setting of its index": 'alter index "the key" set (fillfactor = 70)',
}


OF_ANOTHER_COLUMN = {
    "the legacy key": "primary key (legacy_id), unique (id)",
    "the id and a legacy key": "primary key (id, legacy_id), unique (legacy_id)",
}


@pytest.fixture(name="world")
def the_world(legacy_db: str, target_db: str) -> EngineWorld:
    owners = {**entity("owners", columns={"name": "a.name"}), "first_load": "bulk"}
    things = {
        **entity("things", columns={"size": "a.size"}, references={"owner_id": {"to": "owners", "key": "a.owner_id"}}),
        "first_load": "bulk",
    }
    return small_world(legacy_db, target_db, LEGACY, TARGET, owners, things)


@pytest.fixture(name="legacy")
def the_legacy(legacy_db: str) -> Query:
    return _runner(legacy_db)


@pytest.fixture(name="target")
def the_target(target_db: str, world: EngineWorld) -> Query:
    return _runner(target_db)


def _keys(target: Query) -> list[str]:
    return [name for (name,) in target(KEYS.format("'owners'::regclass, 'things'::regclass"))]


def _shape(target: Query) -> list[tuple[object, ...]]:
    return target(SHAPE.replace("""'shop."Things"'""", "'things'"))


def test_it_is_gone_while_the_rows_come_and_is_there_again_as_it_was(world: EngineWorld, target: Query) -> None:
    before, look = _shape(target), Look(lambda: [(name,) for name in _keys(target)])
    with armed({"batch.claimed": look}):
        assert run(world, "first").outcome.status == "succeeded"
    assert look.seen == []
    assert _shape(target) == before
    assert target("select count(*) from things t join owners o on o.id = t.owner_id") == [(400,)]


@pytest.mark.parametrize("why", NEEDED)
def test_it_stays_where_something_else_needs_it(world: EngineWorld, target: Query, why: str) -> None:
    target(NEEDED[why])
    before, look = _shape(target), Look(lambda: [(name,) for name in _keys(target)])
    with armed({"batch.claimed": look}):
        assert run(world, "first").outcome.status == "succeeded"
    assert look.seen == [("owners",)]
    assert _shape(target) == before
    assert target("select warnings from hybrid_sync.run_entity") == [(None,), (None,)], "the rest goes as ever"


@pytest.mark.parametrize("column", OF_ANOTHER_COLUMN)
def test_it_stays_where_it_is_of_more_than_the_id(legacy_db: str, target_db: str, column: str) -> None:
    """It may be what keeps legacy keys apart."""
    owners = {**entity("owners", columns={"name": "a.name"}), "first_load": "bulk"}
    ddl = f"create table owners (id uuid not null, legacy_id int, name text, {OF_ANOTHER_COLUMN[column]});"
    world = small_world(legacy_db, target_db, LEGACY, ddl + "create index on owners (id, legacy_id)", owners)
    target = _runner(target_db)
    asked = "select contype::text from pg_constraint where conrelid = 'owners'::regclass and contype <> 'n' order by 1"
    before, look = target(asked), Look(lambda: target(asked))
    with armed({"batch.claimed": look}):
        assert run(world, "first").outcome.status == "succeeded"
    assert look.seen == before == [("p",), ("u",)]
    assert target("select count(*) from owners") == [(40,)]


def test_a_child_that_ends_first_makes_the_key_that_it_refers_to(world: EngineWorld, target: Query) -> None:
    before = _shape(target)
    plan_run(world, RunRequest(run_id="first", profile=Profile.daily))
    assert _keys(target) == []
    with world.connect_target() as connection:
        end_bulk(world, "first", "things", connection)
        assert _keys(target) == ["owners", "things"]
        end_bulk(world, "first", "owners", connection)
    assert _shape(target) == before
    assert target(LEFT) == [(0,)]


def test_a_run_that_broke_off_is_followed_by_one_that_makes_it_before_anything_else(
    world: EngineWorld, target: Query
) -> None:
    before = _shape(target)
    with armed({"batch.committed": Raise()}), suppress(FailpointRaised):
        run(world, "first")
    assert _keys(target) == []
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    assert run(world, "few", profile="on_demand", refs=[{"entity": "things", "legacy_id": 400}]).outcome.status
    assert _shape(target) == before


def test_rows_that_fail_meanwhile_fail_alone(world: EngineWorld, target: Query) -> None:
    target("alter table things add check (size % 7 <> 3)")
    run(world, "first")
    assert target("select count(*), count(*) filter (where size % 7 = 3) from things") == [(343, 0)]
    assert target("select count(*) from hybrid_sync.failed_record where reason = 'check_violation'") == [(57,)]
    assert _keys(target) == ["owners", "things"]


def test_two_rows_of_one_id_are_said_and_the_next_run_goes_on(world: EngineWorld, target: Query) -> None:
    """Nobody but a person can have written them: an id of ours is of one legacy key."""
    before = _shape(target)
    plan_run(world, RunRequest(run_id="first", profile=Profile.daily))
    target("insert into owners (id, name) select gen_random_uuid(), 'native'")
    target("insert into owners (id, name) select id, 'twin' from owners")
    with world.connect_target() as connection, pytest.raises(IndexUnmade, match=r"the key .*two rows .* one id"):
        end_bulk(world, "first", "things", connection)
    target("update hybrid_sync.run set status = 'lost'")
    second = run(world, "second")
    assert second.outcome.status == "failed"
    [(failure,)] = target(
        "select failure::text from hybrid_sync.run_entity where run_id = 'second' and entity = 'owners'"
    )
    assert "lacks its primary key the key" in failure
    assert target("select count(*) from owners where legacy_id is not null") == [(0,)]
    target("delete from owners where name = 'twin'")
    assert run(world, "third").outcome.status == "succeeded"
    assert _shape(target) == before


def test_what_was_loaded_is_undone_only_once_no_id_is_of_two_rows(world: EngineWorld, target: Query) -> None:
    with armed({"batch.committed": Raise()}), suppress(FailpointRaised):
        run(world, "first")
    assert target("select count(*) from owners") == [(40,)]
    target("insert into owners (id, name) select id, 'twin' from owners where legacy_id = 7")
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    with pytest.raises(StructureMismatch, match="lacks its primary key"):
        rollback_run(world, RollbackTask(run_id="first"))
    assert target("select count(*) from owners") == [(41,)]
    target("delete from owners where name = 'twin'")
    assert rollback_run(world, RollbackTask(run_id="first")).undone.deleted == 40
    assert target("select count(*) from owners") == [(0,)]
    assert _keys(target) == ["owners", "things"]


def test_a_message_about_a_row_waits_until_no_id_is_of_two_rows(world: EngineWorld, target: Query) -> None:
    target("alter table owners add constraint odd check (legacy_id <> 9)")
    with armed({"batch.committed": Raise()}), suppress(FailpointRaised):
        run(world, "first")
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    target("alter table owners drop constraint odd")
    target("insert into owners (id, name) select id, 'twin' from owners where legacy_id = 7")
    message = FailureMessage(run_id="first", entity="owners", source="owners", reason="check_violation", keys=((9,),))
    with pytest.raises(StructureMismatch, match="lacks its primary key"):
        retry_failure(world, message)
    target("delete from owners where name = 'twin'")
    assert retry_failure(world, message).inserted == 1


def test_who_names_an_id_of_a_table_that_is_being_loaded_changes_one_row(world: EngineWorld, target: Query) -> None:
    """A run of a few keys beside the load, which carries a row again that is there already."""
    asked = Look(lambda: _again(world))
    with armed({"batch.committed": asked}):
        assert run(world, "first").outcome.status == "succeeded"
    assert ("succeeded",) in asked.seen
    assert target("select count(*), count(distinct id) from owners") == [(40, 40)]


def test_another_whole_run_beside_the_load_joins_at_once_what_no_index_leads_to(
    world: EngineWorld, target: Query
) -> None:
    asked = Look(lambda: _beside(world, target))
    with armed({"batch.committed": asked}):
        assert run(world, "first").outcome.status == "succeeded"
    assert target("select sum(cardinality(keys)) from hybrid_sync.journal where run_id = 'beside'") == [(40,)]
    assert _joins(world) == "off"


def _beside(world: EngineWorld, target: Query) -> list[tuple[str]]:
    if target("select (select count(*) from owners), (select count(*) from hybrid_sync.run)") == [(40, 1)]:
        assert _joins(world) == "on"
        target("update owners set name = 'x'")
        run(world, "beside", profile="weekly", entities=["owners"])
    return []


def _joins(world: EngineWorld) -> str:
    """Whether a page's update may read the table as a whole."""
    with world.connect_target() as connection, transaction(connection, "target"):
        connection.execute(by_index("public.owners"))
        [(said,)] = connection.execute("show enable_hashjoin").fetchall()
        return str(said)


def _again(world: EngineWorld) -> list[tuple[str]]:
    with suppress(psycopg.Error):
        refs = [{"entity": "owners", "legacy_id": 7}]
        return [(run(world, "beside", profile="on_demand", refs=refs).outcome.status,)]
    return []
