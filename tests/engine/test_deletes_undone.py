"""A rollback brings deleted rows back as they were, native columns included, and takes marks off again."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.runs.holds import holds, release
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.policies import conserved, everything_hard, soft, told, with_policies
from tests.engine.worlds import EngineWorld, run


def undo(world: EngineWorld, run_id: str) -> dict[str, int]:
    outcome = rollback_run(world, RollbackTask(run_id=run_id))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id=run_id, rollback_id=outcome.rollback_id))
    return outcome.undone.conflicts


def release_all(world: EngineWorld) -> None:
    with world.connect_target() as connection:
        release(connection, [hold.entity for hold in holds(connection)])


def test_deleted_rows_come_back_whole_under_their_ids(world: EngineWorld, legacy: Query, target: Query) -> None:
    everything_hard(world)
    run(world, "first")
    target("update people set internal_note = 'native', created_at = '2001-02-03' where legacy_id > 8")
    whole = [f"select t::text from {table} t order by id" for table in ("people", "visits", "invoices", "messages")]
    before = [target(query) for query in whole]
    legacy(
        "delete from visit where person_id > 8; delete from invoice where visit_id > 8;"
        " delete from person where id > 8; delete from letter where id = 4"
    )
    run(world, "second")
    assert [target(query) for query in whole] != before
    assert undo(world, "second") == {}
    assert [target(query) for query in whole] == before
    release_all(world)
    assert run(world, "third").outcome.status == "succeeded"
    assert target("select max(legacy_id) from people") == [(8,)]


STAMPED = """
create function stamp() returns trigger language plpgsql as $$ begin {} return new; end $$;
create trigger stamp before insert or update on people for each row execute function stamp()
"""


def test_a_trigger_that_stamps_new_rows_does_not_keep_deleted_ones_away(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    everything_hard(world)
    run(world, "first")
    there = target("select id, email from people order by id")
    legacy(
        "delete from visit where person_id > 8; delete from invoice where visit_id > 8; delete from person where id > 8"
    )
    run(world, "second")
    assert target("select id, email from people order by id") != there
    target(STAMPED.format("new.created_at := '2031-01-01';"))
    assert undo(world, "second") == {}
    assert target("select id, email from people order by id") == there


def test_one_that_changes_what_runs_fill_does(world: EngineWorld, legacy: Query, target: Query) -> None:
    everything_hard(world)
    run(world, "first")
    legacy(
        "delete from visit where person_id > 8; delete from invoice where visit_id > 8; delete from person where id > 8"
    )
    run(world, "second")
    left = target("select id from people order by id")
    target(STAMPED.format("new.email := new.email || '.old';"))
    assert undo(world, "second")["refused"] >= 1
    assert target("select id from people order by id") == left


def test_a_mark_that_is_undone_is_none_and_is_set_again_by_the_next_run(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table messages add deleted_at timestamptz")
    with_policies(world, messages=soft(deleted_at="now()"))
    run(world, "first")
    legacy("delete from letter where id = 4")
    run(world, "second")
    marked = "select count(*) from messages where deleted_at is not null"
    assert target(marked) == [(1,)]
    assert undo(world, "second") == {}
    assert target(marked) == [(0,)]
    release_all(world)
    assert run(world, "third").outcome.status == "succeeded"
    assert (target(marked), told(target, "third", "messages")["soft"]) == ([(1,)], 1)


def test_a_return_that_is_undone_is_marked_again(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("alter table messages add deleted_at timestamptz")
    with_policies(world, messages=soft(deleted_at="now()"))
    run(world, "first")
    legacy("delete from letter where id = 4")
    run(world, "second")
    moment = target("select deleted_at from messages where legacy_source = 'letter' and legacy_id = 4")
    legacy("insert into letter (id, person_id, body) values (4, 4, 'letter 4')")
    run(world, "third")
    assert undo(world, "third") == {}
    assert target("select deleted_at from messages where legacy_source = 'letter' and legacy_id = 4") == moment
    release_all(world)
    assert run(world, "fourth").outcome.status == "succeeded"
    assert target("select count(*) from messages where deleted_at is not null") == [(0,)]
    assert conserved(target, "fourth", "messages")["tombstones"] == 0
