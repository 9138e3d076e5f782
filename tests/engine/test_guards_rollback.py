"""Undoing takes back what the run wrote and not a thing that came after it, also when it comes at the same moment."""

from __future__ import annotations

import threading

import psycopg

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.runs.holds import holds, release
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def undo(world: EngineWorld, run_id: str) -> dict[str, int]:
    """Undo the run; its conflicts by reason."""
    return rollback_run(world, RollbackTask(run_id=run_id)).undone.conflicts


def test_a_row_that_the_run_inserted_and_a_person_has_edited_since_is_not_deleted(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    legacy("insert into letter (id, person_id, body) values (50, 2, 'new'), (51, 2, 'new')")
    run(world, "second", profile="daily")
    target("update messages set body = 'by hand' where legacy_id = 50")
    assert undo(world, "second") == {"edited": 1}
    assert target("select legacy_id, body from messages where legacy_id >= 50") == [(50, "by hand")]


def test_a_native_edit_that_commits_while_its_row_is_undone_stays(
    world: EngineWorld, legacy: Query, target: Query, target_db: str
) -> None:
    run(world, "first", profile="daily")
    legacy("update visit set note = 'from legacy' where id = 1")
    run(world, "second", profile="daily")
    conflicts: list[dict[str, int]] = []
    with psycopg.connect(target_db) as native:
        native.execute("update visits set note = 'by hand' where legacy_id = 1")
        undoing = threading.Thread(target=lambda: conflicts.append(undo(world, "second")))
        undoing.start()
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while target(waits) == [(0,)]:
            assert undoing.is_alive(), "the rollback did not wait for the native writer"
        native.commit()
        undoing.join()
    assert conflicts == [{"edited": 1}]
    assert target("select note from visits where legacy_id = 1") == [("by hand",)]


def test_the_ids_of_rows_that_are_taken_back_are_not_believed_and_return_with_their_keys(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """Whatever the secret is by then: one legacy key has one UUID for ever."""
    run(world, "first", profile="daily")
    legacy("insert into person (id, clinic_id, email) values (50, 1, 'fifty@example.org')")
    run(world, "second", profile="daily")
    before = target("select id from people where legacy_id = 50")
    assert undo(world, "second") == {}
    assert target("select entity from hybrid_sync.entity_state where cache_epoch = 1") == [("people",)]
    with world.connect_target() as connection:
        release(connection, [hold.entity for hold in holds(connection)])
    world.id_secret = b"another secret"
    run(world, "third", profile="daily")
    assert target("select id from people where legacy_id = 50") == before


def test_an_entity_whose_table_is_gone_stays_as_it_is_and_the_others_are_undone(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    legacy("insert into letter (id, person_id, body) values (50, 2, 'new')")
    legacy("insert into person (id, clinic_id, email) values (50, 1, 'fifty@example.org')")
    legacy("update visit set note = 'from legacy' where id = 1")
    run(world, "second", profile="daily")
    target("alter table messages rename to moved_away")
    done = rollback_run(world, RollbackTask(run_id="second"))
    assert (done.failed, done.undone.updated, done.undone.deleted) == (("messages",), 1, 1)
    assert target("select count(*) from people where legacy_id = 50") == [(0,)]
    assert target("select note from visits where legacy_id = 1") == [("visit 1",)]
    report = world.reports.pages["rollback-second-1", "md"]
    assert "public.messages" in report and "Failed" in report
    assert world.alerts.published[-1][0] == "hybrid-sync ALERT: run second rolled back"

    target("alter table moved_away rename to messages")
    done = rollback_run(world, RollbackTask(run_id="second"))
    assert (done.failed, done.undone.conflicts, done.undone.deleted) == ((), {}, 1)
    assert target("select count(*) from messages where legacy_id = 50") == [(0,)]
