"""One batch is one transaction: repeated, late, doubled or refused, its effect is there once or not at all."""

from __future__ import annotations

import threading

import psycopg
import pytest

from hybrid_sync.contracts import BatchTask, EntityTask, RunRequest
from hybrid_sync.errors import EntityHeld, LegacyReplaced, RunDeadlineExceeded, RunNotRunning
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def planned(world: EngineWorld, run_id: str, entity: str) -> list[BatchTask]:
    """Plan a run of everything; the batches of one entity, its parents already written."""
    plan = plan_run(world, RunRequest(run_id=run_id))
    for task in plan.entities:
        plan_entity(world, task)
        if task.entity == entity:
            return world.manifests.tasks[run_id, entity]
        for batch in world.manifests.tasks[run_id, task.entity]:
            sync_batch(world, batch)
    raise AssertionError(entity)


def test_a_repeated_delivery_returns_the_first_result_and_writes_nothing(world: EngineWorld, target: Query) -> None:
    batch = planned(world, "r", "people")[0]
    first = sync_batch(world, batch)
    written = target("select xmin::text, id from people order by id")
    assert sync_batch(world, batch) == first
    assert target("select xmin::text, id from people order by id") == written
    assert target("select count(*) from hybrid_sync.journal where entity = 'people' and operation = 'insert'") == [(1,)]


def test_a_repeated_plan_returns_the_first_plan(world: EngineWorld, legacy: Query) -> None:
    task = EntityTask(run_id="r", entity="clinics")
    plan_run(world, RunRequest(run_id="r"))
    first = plan_entity(world, task)
    legacy("insert into clinic (name, country) select 'More', 'US' from generate_series(1, 20000)")
    assert plan_entity(world, task) == first
    assert plan_run(world, RunRequest(run_id="r")) == plan_run(world, RunRequest(run_id="r"))


def test_a_batch_of_an_ended_run_writes_nothing(world: EngineWorld, target: Query) -> None:
    batch = planned(world, "r", "people")[0]
    target("update hybrid_sync.run set status = 'cancelled'")
    with pytest.raises(RunNotRunning):
        sync_batch(world, batch)
    assert target("select count(*) from people") == [(0,)]


def test_a_batch_past_the_deadline_writes_nothing(world: EngineWorld, target: Query) -> None:
    batch = planned(world, "r", "people")[0]
    target("update hybrid_sync.run set deadline_at = now() - interval '1 second'")
    with pytest.raises(RunDeadlineExceeded):
        sync_batch(world, batch)
    assert target("select count(*) from people") == [(0,)]


def test_a_held_entity_is_not_written(world: EngineWorld, target: Query) -> None:
    batch = planned(world, "r", "people")[0]
    target("update hybrid_sync.entity_state set held = true where entity = 'people'")
    with pytest.raises(EntityHeld):
        sync_batch(world, batch)
    assert target("select count(*) from people") == [(0,)]


def test_a_batch_refuses_another_legacy_than_the_planned_one(world: EngineWorld, target: Query) -> None:
    batch = planned(world, "r", "people")[0]
    target("update hybrid_sync.run set fence = jsonb_set(fence, '{system_identifier}', '\"1\"')")
    with pytest.raises(LegacyReplaced):
        sync_batch(world, batch)
    assert target("select count(*) from people") == [(0,)]


def test_an_older_read_never_overwrites_a_newer_one(world: EngineWorld, legacy: Query, target: Query) -> None:
    """A batch that waits for the bucket lock reads after it got it, so it writes what is newest then."""
    run(world, "first")
    legacy("update remark set body = 'older' where id = 1")
    plan_run(world, RunRequest(run_id="slow", entities=("messages",)))
    plan_entity(world, EntityTask(run_id="slow", entity="messages"))
    batch = world.manifests.tasks["slow", "messages"][0]
    with psycopg.connect(world.target_dsn) as other:
        other.execute("select * from hybrid_sync.bucket where entity = 'messages' for update")
        waiting = threading.Thread(target=sync_batch, args=(world, batch))
        waiting.start()
        _until_it_waits(waiting, target)
        legacy("update remark set body = 'newer' where id = 1")
        other.commit()
        waiting.join()
    assert target("select body from messages where legacy_source = 'remark' and legacy_id = 1") == [("newer",)]


def _until_it_waits(waiting: threading.Thread, target: Query) -> None:
    while target("select count(*) from pg_locks where not granted") == [(0,)]:
        assert waiting.is_alive(), "the batch did not wait for the bucket lock"


def test_two_runs_at_the_same_time_write_each_row_once(world: EngineWorld, target: Query) -> None:
    batches = {r: planned(world, r, "people") for r in ("a", "b")}
    threads = [threading.Thread(target=sync_batch, args=(world, tasks[0])) for tasks in batches.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target("select count(*), count(distinct legacy_id) from people") == [(12, 12)]
    results = target("select sum((result->>'inserted')::int) from hybrid_sync.batch_done where entity = 'people'")
    assert results == [(12,)]


def test_one_bad_row_costs_that_row_with_its_reason(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update visit set note = 'forbidden' where id = 3")
    legacy("update visit set note = repeat('x', 61) where id = 4")
    legacy("update person set kind = 9 where id = 11")
    legacy("update person set settings = '{\"n\": NaN}' where id = 12")
    legacy("insert into visit (person_id, note) values (999, 'orphan'), (null, 'nobody')")
    run(world, "first")
    failed = target(
        "select entity, key, reason from hybrid_sync.failed_record where column_name is distinct from 'best_invoice_id'"
        " and column_name is distinct from 'manager_id' order by 1, 2"
    )
    assert failed == [
        ("invoices", [3], "missing_parent"), ("invoices", [11], "missing_parent"),
        ("people", [11], "unknown_enum"), ("people", [12], "bad_json"),
        ("visits", [3], "check_violation"), ("visits", [4], "value_too_long"),
        ("visits", [11], "missing_parent"), ("visits", [12], "missing_parent"),
        ("visits", [13], "missing_parent"), ("visits", [14], "missing_parent"),
    ]  # fmt: skip
    assert target("select count(*) from visits") == [(8,)]


def test_a_failed_record_is_resolved_when_its_row_arrives(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update person set kind = 9 where id = 12")
    run(world, "first")
    legacy("update person set kind = 1 where id = 12")
    run(world, "second")
    left = target(
        "select entity, key from hybrid_sync.failed_record where status <> 'resolved' and reason <> 'missing_parent'"
    )
    assert left == []
    assert target("select count(*) from people where legacy_id = 12") == [(1,)]
    assert target("select count(*) from visits where legacy_id = 12") == [(1,)]  # it waited for the person


def test_a_stale_cache_entry_is_found_out_and_repaired(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    world.id_cache.ids["people", "person", 0, (1,)] = b"\x01" * 16
    legacy("update visit set note = 'again' where person_id = 1")
    done = run(world, "second", entities=("visits",))
    assert done.total("visits")["failed"] == 0
    assert target("select v.note from visits v join people p on p.id = v.person_id where p.legacy_id = 1") == [
        ("again",)
    ]
