"""A fence moves only to where everything has been read, and never hides what was committed beside the run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from hybrid_sync.contracts import EntityTask, EntityVerdict, Ref, RunRequest, SegmentTask
from hybrid_sync.errors import EntityIncomplete, RunNotFound
from hybrid_sync.failpoints import armed
from hybrid_sync.steps.compare_segment import compare_segment
from hybrid_sync.steps.confirm_differences import confirm_differences
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.reconcile_entity import reconcile_entity
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def written(world: EngineWorld, run_id: str) -> None:
    """A run of the messages up to where they are verified."""
    plan_run(world, RunRequest(run_id=run_id, profile="daily", entities=("messages",)))
    plan_entity(world, EntityTask(run_id=run_id, entity="messages"))
    for batch in world.manifests.read(run_id, "messages") or []:
        sync_batch(world, batch)


def verified(world: EngineWorld, run_id: str) -> EntityVerdict:
    return verify_entity(world, EntityTask(run_id=run_id, entity="messages"))


def conservation(target: Query, run_id: str, entity: str) -> dict[str, Any]:
    found: dict[str, Any] = target(
        "select conservation from hybrid_sync.run_entity where run_id = %s and entity = %s", run_id, entity
    )[0][0]
    return found


def fence(target: Query) -> tuple[Any, ...]:
    return target("select run_id, version from hybrid_sync.fence where entity = 'messages'")[0]


def test_a_transaction_that_commits_after_the_run_is_read_although_younger_ones_were_there_at_the_fence(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    with world.connect_legacy() as late:
        late.execute("begin")
        late.execute("insert into remark (person_id, body) values (1, 'late')")
        legacy("insert into remark (person_id, body) values (1, 'younger')")
        run(world, "first", profile="daily")
        late.execute("commit")
    assert run(world, "second", profile="daily").total("messages")["inserted"] == 1
    assert target("select count(*) from messages where body in ('late', 'younger')") == [(2,)]


def test_legacy_is_asked_for_the_fence_while_the_target_is_asked_whether_it_is_prepared(
    world: EngineWorld, legacy: Query, target_db: str
) -> None:
    with psycopg.connect(target_db) as owner, ThreadPoolExecutor(max_workers=1) as beside:
        owner.execute("lock table hybrid_sync.migration in access exclusive mode")
        planned = beside.submit(plan_run, world, RunRequest(run_id="first", profile="daily"))
        asked = "select 1 from pg_stat_activity where datname = current_database() and application_name = 'hybrid-sync'"
        while not legacy(f"{asked} and query like 'begin%'"):
            assert not planned.done(), planned.result()  # the target's lock ends its question at last
        owner.rollback()
        assert planned.result().entities


def test_what_legacy_commits_between_the_read_and_the_verdict_is_in_flight_and_read_next_time(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    legacy("update remark set body = 'so that there is something to verify' where id = 1")
    written(world, "second")
    legacy("insert into remark (person_id, body) values (1, 'in between')")
    assert verified(world, "second").fence_advanced
    found = conservation(target, "second", "messages")
    assert (found["missing"], found["in_flight"]) == (0, 1)
    assert run(world, "third", profile="daily").total("messages")["inserted"] == 1


def test_what_another_run_carries_over_during_the_verdict_is_no_departure(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """The target is looked at before legacy, so what arrives in between is in flight and nothing seems gone."""

    class CarryOver:
        def fire(self, name: str, connections: object) -> None:
            legacy("insert into remark (id, person_id, body) values (90, 1, 'just now')")
            run(world, "beside", profile="on_demand", refs=(Ref(entity="messages", source="remark", legacy_id=90),))

    run(world, "first", profile="daily")
    legacy("update remark set body = 'so that there is something to verify' where id = 1")
    written(world, "second")
    with armed({"verify.snapshots": CarryOver()}):
        verified(world, "second")
    assert target("select count(*) from messages where legacy_id = 90") == [(1,)]
    found = conservation(target, "second", "messages")
    assert (found["pending_deletes"], found["in_flight"]) == (0, 1)


def test_a_run_that_began_earlier_does_not_set_the_fence_of_a_later_one_back(world: EngineWorld, target: Query) -> None:
    run(world, "first", profile="daily")
    written(world, "slow")
    run(world, "quick", profile="daily")
    after = fence(target)
    assert not verified(world, "slow").fence_advanced
    assert fence(target) == after == ("quick", 2)


def test_the_fence_of_an_entity_that_is_held_stays(world: EngineWorld, target: Query) -> None:
    run(world, "first", profile="daily")
    written(world, "second")
    target("update hybrid_sync.entity_state set held = true where entity = 'messages'")
    verdict = verified(world, "second")
    assert (verdict.conserved, verdict.fence_advanced) == (True, False)
    assert fence(target) == ("first", 1)


def test_a_run_whose_record_is_gone_meanwhile_ends_with_a_sentence(world: EngineWorld, target: Query) -> None:
    """As it is for a worker from whom the right to see past row security was taken."""

    class Forget:
        def fire(self, name: str, connections: object) -> None:
            target("delete from hybrid_sync.run_entity where run_id = 'second'")

    run(world, "first", profile="daily")
    written(world, "second")
    with armed({"verify.recording": Forget()}), pytest.raises(RunNotFound, match="has no entity messages"):
        verified(world, "second")
    assert fence(target) == ("first", 1)


def test_a_batch_that_was_not_written_keeps_the_fence(world: EngineWorld, legacy: Query, target: Query) -> None:
    """An update that did not arrive changes no count, so only the record of batches tells."""
    run(world, "first", profile="daily")
    legacy("update remark set body = 'changed' where id = 1")
    plan_run(world, RunRequest(run_id="second", profile="daily", entities=("messages",)))
    plan_entity(world, EntityTask(run_id="second", entity="messages"))
    with pytest.raises(EntityIncomplete):
        verified(world, "second")
    assert fence(target) == ("first", 1)


def test_a_row_whose_joined_rows_are_missing_is_settled_like_any_other(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """An outer join without a partner has no transaction id, which must not leave the row out of every proof."""
    legacy("insert into invoice (visit_id, total) values (null, 10)")
    run(world, "first", profile="daily")
    assert target("select count(*) from invoices where visit_id is null and legacy_id is not null") == [(1,)]
    found = conservation(target, "first", "invoices")
    assert (found["pending_deletes"], found["in_flight"]) == (0, 0)
    plan_run(world, RunRequest(run_id="second", entities=("invoices",)))
    task = EntityTask(run_id="second", entity="invoices")
    plan_entity(world, task)
    reconcile_entity(world, task, segment_rows=1)
    for segment in world.manifests.tasks["second", "invoices.segments"]:
        assert isinstance(segment, SegmentTask)
        compare_segment(world, segment)
    compared = (
        "select sum(legacy_rows)::int from hybrid_sync.reconcile_segment where run_id = %s and entity = 'invoices'"
    )
    assert target(compared, "second") == target("select count(*)::int from invoices where legacy_id is not null")


def test_a_row_lost_beside_a_stranger_under_a_key_of_its_bucket_is_missed(world: EngineWorld, target: Query) -> None:
    """The numbers agree; the keys do not."""
    run(world, "first", profile="daily")
    target("delete from messages where legacy_source = 'remark' and legacy_id = 2")
    target(
        "insert into messages (id, legacy_source, legacy_id, person_id)"
        " select gen_random_uuid(), 'remark', 400, id from people where legacy_id = 1"
    )
    done = run(world, "second", profile="daily", entities=("messages",))
    found = conservation(target, "second", "messages")
    assert (found["missing_keys"], found["pending_deletes"], found["ok"]) == ([[2]], 1, False)
    assert not done.verdicts["messages"].fence_advanced


def test_what_was_compared_only_in_part_is_not_taken_for_equal(world: EngineWorld) -> None:
    run(world, "first", profile="daily")
    plan_run(world, RunRequest(run_id="second", entities=("people",)))
    task = EntityTask(run_id="second", entity="people")
    plan_entity(world, task)
    reconcile_entity(world, task, segment_rows=4)
    for segment in world.manifests.tasks["second", "people.segments"][1:]:
        assert isinstance(segment, SegmentTask)
        compare_segment(world, segment)
    with pytest.raises(EntityIncomplete, match="segments compared"):
        confirm_differences(world, task)
