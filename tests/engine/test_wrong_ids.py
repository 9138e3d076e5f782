"""Ids of the cache that are sealed and wrong all the same: caught before the fence moves, and healed by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.compare import proof
from hybrid_sync.contracts import Key, Profile, RunRequest
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

_WRONG = """
select count(*) from visits v join people p on p.id = v.person_id where v.note like 'late%' and p.legacy_id <> {}
"""


def swap(world: EngineWorld, one: int, other: int) -> None:
    cached = world.id_cache.get("people", "person", 0, [(one,), (other,)])
    world.id_cache.put("people", "person", 0, {(one,): cached[other,], (other,): cached[one,]})


def fence_version(target: Query) -> int:
    return int(target("select version from hybrid_sync.fence where entity = 'visits'")[0][0])


@pytest.mark.parametrize("few", [20_000, 2], ids=["looked up", "compared in one pass"])
def test_a_daily_run_with_swapped_ids_is_not_verified_and_the_next_one_heals_it(
    world: EngineWorld, legacy: Query, target: Query, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "_FEW", few)
    run(world, "first")
    before = fence_version(target)
    swap(world, 5, 6)
    legacy("insert into visit (person_id, note) select 5, 'late' || i from generate_series(1, 10) i")
    second = run(world, "second", profile="daily")
    assert second.outcome.status == "failed"
    code = "select failure->>'code' from hybrid_sync.run_entity where run_id = 'second' and entity = 'visits'"
    assert target(code) == [("mapping_corrupt",)]
    assert fence_version(target) == before
    assert target("select count(*) from hybrid_sync.failed_record where reason = 'wrong_reference'") == [(10,)]
    third = run(world, "third", profile="daily")
    assert third.outcome.status == "succeeded"
    assert target(_WRONG.format(5)) == [(0,)]


def test_so_it_does_where_a_trigger_of_the_target_writes_more_than_the_run_did(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    swap(world, 5, 6)
    target(
        "create function touch() returns trigger language plpgsql security definer as $$ begin"
        " update visits set note = note where legacy_id = 1; return null; end $$;"
        " create trigger touch after insert on visits for each statement execute function touch()"
    )
    legacy("insert into visit (person_id, note) select 5, 'late' || i from generate_series(1, 10) i")
    assert run(world, "second", profile="daily").outcome.status == "failed"
    told = (
        "select reason, count(*) from hybrid_sync.failed_record where entity = 'visits' and status = 'open' group by 1"
    )
    assert ("wrong_reference", 10) in target(told)
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target(_WRONG.format(5)) == [(0,)]


def test_so_is_a_run_that_reads_everything(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    swap(world, 5, 6)
    legacy("insert into visit (person_id, note) select 5, 'late' || i from generate_series(1, 10) i")
    target("delete from hybrid_sync.fence where entity = 'visits'")
    second = run(world, "second", profile="daily")
    assert second.outcome.status == "failed"
    told = target("select count(*) from hybrid_sync.failed_record where reason = 'wrong_reference'")
    assert told == [(12,)], "the visits that were there before are written anew, too"
    moved = "select fence_advanced from hybrid_sync.run_entity where run_id = 'second' and entity = 'visits'"
    assert target(moved) == [(False,)]
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target(_WRONG.format(5)) == [(0,)]


def test_a_row_of_a_few_keys_has_its_true_parent_whatever_the_cache_holds(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    swap(world, 5, 6)
    legacy("insert into visit (id, person_id, note) values (77, 5, 'late')")
    second = run(world, "second", profile="on_demand", refs=[{"entity": "visits", "legacy_id": 77}])
    assert second.outcome.status == "succeeded"
    assert target(_WRONG.format(5)) == [(0,)]


def test_a_row_with_a_swapped_parent_is_no_success_and_its_retry_heals_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    swap(world, 5, 6)
    legacy("insert into visit (id, person_id, note) values (77, 5, 'late')")
    second = run(world, "second", profile="on_demand", entities=["visits"])
    assert second.outcome.status == "failed"
    run(world, "third", profile="on_demand", refs=[{"entity": "visits", "legacy_id": 1}])
    for message in world.failure_queue.messages:
        retry_failure(world, message)
    assert target(_WRONG.format(5)) == [(0,)]


def test_a_reference_that_a_person_changes_before_the_run_is_verified_is_not_the_caches(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("insert into visit (id, person_id, note) values (77, 5, 'late')")
    plan = plan_run(world, RunRequest(run_id="second", profile=Profile.daily))
    for task in plan.entities:
        plan_entity(world, task)
        for batch in world.manifests.read("second", task.entity) or []:
            sync_batch(world, batch)
    target("update visits set person_id = (select id from people where legacy_id = 6) where legacy_id = 77")
    visits = next(task for task in plan.entities if task.entity == "visits")
    assert verify_entity(world, visits).conserved


def test_what_a_lost_run_wrote_with_swapped_ids_is_proved_by_the_run_that_finds_it_unchanged(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    before = fence_version(target)
    swap(world, 5, 6)
    legacy("insert into visit (person_id, note) select 5, 'late' || i from generate_series(1, 10) i")
    plan = plan_run(world, RunRequest(run_id="lost", profile=Profile.daily))
    for task in plan.entities:
        plan_entity(world, task)
        for batch in world.manifests.read("lost", task.entity) or []:
            sync_batch(world, batch)
    assert target(_WRONG.format(5)) == [(10,)]
    third = run(world, "third", profile="daily")
    assert third.outcome.status == "failed"
    assert fence_version(target) == before
    assert run(world, "fourth", profile="daily").outcome.status == "succeeded"
    assert target(_WRONG.format(5)) == [(0,)]


@pytest.mark.parametrize("few", [20_000, 0], ids=["looked up", "compared in one pass"])
def test_a_row_that_a_run_leads_elsewhere_is_proved_like_a_new_one(
    world: EngineWorld, legacy: Query, target: Query, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "_FEW", few)
    legacy("insert into visit (id, person_id, note) values (77, 1, 'late'), (78, 1, 'late')")
    run(world, "first")
    before = fence_version(target)
    swap(world, 5, 6)
    legacy("update visit set person_id = 5 where id in (77, 78)")
    second = run(world, "second", profile="daily")
    assert second.outcome.status == "failed"
    assert fence_version(target) == before
    assert target("select key from hybrid_sync.failed_record where reason = 'wrong_reference' order by key") == [
        ([77],), ([78],),
    ]  # fmt: skip
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target(_WRONG.format(5)) == [(0,)]


def test_a_row_that_was_led_elsewhere_is_proved_where_its_change_does_not_say_so(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("insert into visit (id, person_id, note) values (77, 1, 'late'), (78, 1, 'late')")
    run(world, "first")
    swap(world, 5, 6)
    legacy("update visit set person_id = 5 where id = 77")
    legacy("update visit set note = 'late!' where id = 78")
    plan = plan_run(world, RunRequest(run_id="lost", profile=Profile.daily))
    for task in plan.entities:
        plan_entity(world, task)
        for batch in world.manifests.read("lost", task.entity) or []:
            sync_batch(world, batch)
    said = "select keys, refers_anew from hybrid_sync.journal where run_id = 'lost' and entity = 'visits' order by keys"
    assert target(said) == [([77], True), ([78], False)]
    target("update hybrid_sync.journal set refers_anew = null")
    assert run(world, "third", profile="daily").outcome.status == "failed"
    assert target("select key from hybrid_sync.failed_record where reason = 'wrong_reference'") == [([77],)]


def test_only_rows_whose_references_a_run_wrote_wait_for_their_proof(
    world: EngineWorld, legacy: Query, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy("insert into visit (id, person_id, note) values (77, 1, 'a'), (78, 1, 'b'), (79, 2, 'c')")
    run(world, "first")
    legacy("update visit set note = note || '!' where id in (77, 79)")
    legacy("update visit set person_id = 2 where id = 78")
    legacy("insert into visit (id, person_id, note) values (80, 1, 'd')")
    looked_up: list[list[Key] | None] = []
    found = proof.unproved

    def seen(*asked: Any) -> list[Key] | None:
        looked_up.append(found(*asked))
        return looked_up[-1]

    monkeypatch.setattr(proof, "unproved", seen)
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert [(78,), (80,)] in looked_up
