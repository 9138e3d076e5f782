"""What one batch promises beside others: named by what it covers, alone on its rows, true to what legacy holds."""

from __future__ import annotations

import threading

import psycopg
import pytest

from hybrid_sync.contracts import EntityTask, RunRequest
from hybrid_sync.postgres import transaction
from hybrid_sync.schema import target_structure
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.write.batches import require_free, require_running
from hybrid_sync.write.journal import CHANGES
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

OLD_CLINIC = "00000000-0000-4000-8000-000000000001"
"""A random UUID that stood in the target before the first run; minting would give another."""


# --- the batch's name ----------------------------------------------------------------------------------------------


def test_batches_of_one_entity_are_told_apart_by_their_range(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("insert into remark (id, person_id, body) values (1500, 1, 'another bucket')")
    done = run(world, "first", profile="daily", batch_size=1)
    assert len(world.manifests.tasks["first", "messages"]) > 2
    assert done.total("messages")["inserted"] == 11
    assert target("select count(*) from messages where legacy_id = 1500") == [(1,)]


def test_a_batch_of_changes_and_one_of_retries_over_the_same_range_are_both_written(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set kind = 9 where id = 12")
    run(world, "first", profile="daily")
    legacy("update person set kind = 1 where id = 12; update visit set note = 'changed' where id = 1")
    run(world, "second", profile="daily")
    assert len(world.manifests.tasks["second", "visits"]) == 2
    assert target("select count(*) from visits where legacy_id = 12") == [(1,)]


# --- run and hold --------------------------------------------------------------------------------------------------


def test_a_run_cannot_be_ended_under_a_batch_that_is_being_written(world: EngineWorld, target: Query) -> None:
    plan_run(world, RunRequest(run_id="r"))
    with world.connect_target() as worker, transaction(worker, "target"):
        require_running(worker, "r")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            target("select from hybrid_sync.run where run_id = 'r' for update nowait")


def test_an_entity_cannot_be_held_under_a_batch_that_is_being_written(world: EngineWorld, target: Query) -> None:
    plan_run(world, RunRequest(run_id="r"))
    with world.connect_target() as worker, transaction(worker, "target"):
        require_free(worker, "people")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            target("select from hybrid_sync.entity_state where entity = 'people' for update nowait")


def test_what_the_last_holder_of_a_bucket_has_recorded_is_known_behind_the_lock(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """A batch that waits for the bucket lock looks up failed records after it got it, so it resolves this one too."""
    run(world, "first", profile="daily")
    legacy("update remark set body = 'again' where id = 1")
    plan_run(world, RunRequest(run_id="second", entities=("messages",)))
    plan_entity(world, EntityTask(run_id="second", entity="messages"))
    batch = world.manifests.tasks["second", "messages"][0]
    with psycopg.connect(world.target_dsn) as other:
        other.execute("select from hybrid_sync.bucket where entity = 'messages' for update")
        other.execute(
            "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run)"
            " values ('messages', 'remark', '{1}', 'check_violation', 'other', 'other')"
        )
        writing = threading.Thread(target=sync_batch, args=(world, batch))
        writing.start()
        until_it_waits(writing, target)
        other.commit()
        writing.join()
    assert target("select status, ended_by from hybrid_sync.failed_record where last_run = 'other'") == [
        ("resolved", "second")
    ]


def test_more_failed_records_than_travel_with_the_locks_are_resolved_all_the_same(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    target(
        "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run)"
        " select 'messages', 'remark', array[i], 'check_violation', 'other', 'other' from generate_series(1, 1002) i"
    )
    legacy("update remark set body = body")
    done = run(world, "second", profile="daily", entities=("messages",))
    assert done.total("messages")["resolved"] == 6


# --- native writers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["as the server can", "locked first", "step by step"])
def test_a_native_edit_that_commits_under_the_batch_is_in_its_before_image(
    world: EngineWorld, legacy: Query, target: Query, target_db: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Or the journal would keep what stood there earlier, and undoing would lose the edit."""
    if way == "locked first":  # as on a server before PostgreSQL 18
        monkeypatch.setattr(target_structure, "_TELLS_OLD", "select false, null where %s <> ''")
    if way == "step by step":
        target(
            "create trigger same before update on visits for each row"
            " execute function suppress_redundant_updates_trigger()"
        )
    run(world, "first", profile="daily")
    legacy("update visit set note = 'from legacy' where id = 1")
    plan_run(world, RunRequest(run_id="second", entities=("visits",)))
    plan_entity(world, EntityTask(run_id="second", entity="visits"))
    batch = world.manifests.tasks["second", "visits"][0]
    with psycopg.connect(target_db) as native:
        [edited] = (
            native.execute("update visits set note = 'by hand' where legacy_id = 1 returning xmin::text").fetchone()
            or ()
        )
        writing = threading.Thread(target=sync_batch, args=(world, batch))
        writing.start()
        until_it_waits(writing, target)
        native.commit()
        writing.join()
    assert target("select note from visits where legacy_id = 1") == [("from legacy",)]
    [(before, xid, prior)] = target(
        f"select before ->> 'note', xid::text, prior::text from {CHANGES.as_string()} j"
        " where run_id = 'second' and operation = 'update'"
    )
    assert before == "by hand"
    assert target("select xmin::text from visits where legacy_id = 1") == [(xid,)]
    assert prior == edited


def until_it_waits(writing: threading.Thread, target: Query) -> None:
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    while target(waits) == [(0,)]:
        assert writing.is_alive(), "the batch did not wait for the native writer"


# --- ids -----------------------------------------------------------------------------------------------------------


def test_what_was_cached_before_an_epoch_is_not_believed(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first", profile="daily")
    [(other,)] = target("select id from people where legacy_id = 2")
    world.id_cache.ids["people", "person", 0, (1,)] = other.bytes
    target("update hybrid_sync.entity_state set cache_epoch = cache_epoch + 1 where entity = 'people'")
    legacy("update visit set note = 'again' where person_id = 1")
    run(world, "second", profile="daily", entities=("visits",))
    assert person_of_visit(target, 1) == [(1,)]


def test_a_reference_that_no_foreign_key_guards_is_asked_from_the_target(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table visits drop constraint visits_person_id_fkey")
    run(world, "first", profile="daily")
    world.id_cache.ids["people", "person", 0, (1,)] = b"\x01" * 16
    legacy("update visit set note = 'again' where person_id = 1")
    run(world, "second", profile="daily", entities=("visits",))
    assert person_of_visit(target, 1) == [(1,)]


def person_of_visit(target: Query, visit: int) -> list[tuple[int | None, ...]]:
    return target(
        "select p.legacy_id from visits v left join people p on p.id = v.person_id where v.legacy_id = %s", visit
    )


def test_a_legacy_key_that_comes_back_gets_the_uuid_that_it_had(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("delete from clinics where legacy_id = 1")
    target(
        "insert into hybrid_sync.retired_id (entity, source, key, id, run_id)"
        f" values ('clinics', 'clinic', '{{1}}', '{OLD_CLINIC}', 'earlier')"
    )
    run(world, "first", profile="daily")
    assert target("select id::text from clinics where legacy_id = 1") == [(OLD_CLINIC,)]


# --- rows ----------------------------------------------------------------------------------------------------------


def test_values_that_are_equal_but_not_the_same_are_written(world: EngineWorld, legacy: Query, target: Query) -> None:
    """jsonb 1 and 1.0 are equal; checksums tell them apart, so the write must, too."""
    run(world, "first", profile="daily")
    legacy("update person set settings = '{\"n\": 1.0}' where id = 1")
    assert run(world, "second", profile="daily").total("people")["updated"] == 1
    assert target("select settings::text from people where legacy_id = 1") == [('{"n": 1.0}',)]


def test_a_deferred_reference_whose_parent_is_not_there_stays_as_it_is(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    before = target("select manager_id from people where legacy_id = 5")
    assert before != [(None,)]
    legacy("update person set manager_id = 999, email = 'five@example.org' where id = 5")
    run(world, "second", profile="daily")
    assert target("select manager_id from people where legacy_id = 5") == before
    assert target("select email from people where legacy_id = 5") == [("five@example.org",)]


def test_a_failed_record_stays_open_while_only_its_neighbours_arrive(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set kind = 9 where id = 12")
    run(world, "first", profile="daily")
    legacy("update person set email = 'neighbour@example.org' where id = 11")
    run(world, "second", profile="daily")
    assert target("select status from hybrid_sync.failed_record where entity = 'people' and key = '{12}'") == [
        ("open",)
    ]


def test_a_reference_to_a_row_that_is_not_there_is_a_failed_record_also_where_null_would_do(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("insert into person (id, clinic_id, email) values (50, 999, 'lost@example.org')")
    run(world, "first", profile="daily")
    failed = target("select reason, waits_for from hybrid_sync.failed_record where entity = 'people'")
    assert failed == [("missing_parent", {"entity": "clinics", "source": "clinic", "key": [999]})]
    assert target("select count(*) from people where legacy_id = 50") == [(0,)]


@pytest.mark.parametrize(
    ("total", "reason"),
    [("1.005", "numeric_scale"), ("1e12", "numeric_out_of_range"), ("'NaN'", "numeric_out_of_range")],
)
def test_an_amount_that_the_target_cannot_hold_exactly_is_a_failed_record(
    world: EngineWorld, legacy: Query, target: Query, total: str, reason: str
) -> None:
    legacy("alter table invoice alter total type numeric")
    legacy(f"update invoice set total = {total} where id = 1")
    run(world, "first", profile="daily")
    failed = target("select key, reason, column_name from hybrid_sync.failed_record where entity = 'invoices'")
    assert failed == [([1], reason, "total")]


def test_an_amount_that_is_no_number_is_a_failed_record_also_where_the_target_would_hold_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("alter table invoice alter total type numeric")
    target("alter table invoices alter total type numeric")
    legacy("update invoice set total = 'NaN' where id = 1")
    run(world, "first", profile="daily")
    failed = target("select key, reason, column_name from hybrid_sync.failed_record where entity = 'invoices'")
    assert failed == [([1], "numeric_out_of_range", "total")]
