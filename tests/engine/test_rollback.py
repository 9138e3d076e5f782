"""A run is undone exactly, and what people changed since is left alone and named."""

from __future__ import annotations

import json

import psycopg
import pytest

from hybrid_sync.catalog.models import Adopt, OnDelete
from hybrid_sync.contracts import LinkTask, OnFailure, ReportRequest, RollbackOutcome, RollbackTask, RunRequest
from hybrid_sync.errors import EntityHeld, RequestRejected, RunNotRunning
from hybrid_sync.postgres import answer, transaction
from hybrid_sync.report.recent import recent_runs
from hybrid_sync.report.render import to_json, to_markdown
from hybrid_sync.report.summary import recall
from hybrid_sync.runs.holds import holds, release
from hybrid_sync.runs.store import ask_run
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.report_run import report_run
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from hybrid_sync.undo.begin import begin
from hybrid_sync.undo.undo import steps, undo_batch
from tests.engine.conftest import Query
from tests.engine.mapped import Mapped, differing, mapped
from tests.engine.worlds import EngineWorld, run

WEEK = """
update person set email = 'New' || id || '@Example.org', settings = '{"changed": null}' where id in (2, 3, 5);
update remark set body = body || ' (edited)' where id < 4;
insert into letter (person_id, body) values (2, 'another');
insert into person (id, clinic_id, email, manager_id) values (100, 1, 'Hundred@Example.org', 101),
                                                             (101, 2, 'Other@Example.org', 100);
insert into visit (id, person_id, note, best_invoice_id) values (100, 100, 'new', 100);
insert into invoice (id, visit_id, total) values (100, 100, 12.50);
update visit set best_invoice_id = 100 where id = 1;
insert into grant_of (person_id, right_id) values (100, 1), (100, 2);
"""


def now(world: EngineWorld) -> Mapped:
    with psycopg.connect(world.target_dsn, autocommit=True) as connection:
        return mapped(connection, world.catalog)


def undo(world: EngineWorld, run_id: str, *, out_of_order: bool = False) -> RollbackOutcome:
    outcome = rollback_run(world, RollbackTask(run_id=run_id, out_of_order=out_of_order))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id=run_id, rollback_id=outcome.rollback_id))
    return outcome


def release_all(world: EngineWorld) -> None:
    with world.connect_target() as connection:
        release(connection, [hold.entity for hold in holds(connection)])


def test_an_undone_run_leaves_the_target_as_it_was(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    before = now(world)
    legacy(WEEK)
    run(world, "second")
    assert differing(before, now(world)) != set()
    outcome = undo(world, "second")
    assert differing(before, now(world)) == set()
    assert outcome.undone.conflicts == {}
    assert (outcome.undone.deleted, outcome.undone.inserted) == (7, 0)


def test_a_run_is_undone_whose_request_says_what_only_another_version_knows(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    before = now(world)
    legacy(WEEK)
    run(world, "week")
    target("""update hybrid_sync.run set request = request || '{"later": true}' where run_id = 'week'""")
    with world.connect_target() as connection:
        assert answer(connection, ask_run("week")).request.profile == "weekly"
    undo(world, "week")
    assert now(world) == before


def test_the_run_after_the_release_brings_every_change_back_under_the_same_ids(
    world: EngineWorld, legacy: Query
) -> None:
    run(world, "first")
    legacy(WEEK)
    run(world, "second")
    after = now(world)
    outcome = undo(world, "second")
    assert set(outcome.held) == {"people", "visits", "invoices", "messages", "grants"}
    assert run(world, "stopped").outcome.status == "failed"
    release_all(world)
    assert run(world, "third").outcome.status == "succeeded"
    assert differing(after, now(world)) == set()


def test_a_first_run_is_undone_to_what_was_there_before_it(world: EngineWorld) -> None:
    before = now(world)
    run(world, "first")
    after = now(world)
    assert undo(world, "first").undone.conflicts == {}
    assert differing(before, now(world)) == set()
    release_all(world)
    assert run(world, "second").outcome.status == "succeeded"
    assert differing(after, now(world)) == set()


def test_native_edits_stay_and_are_named_with_hashes_not_values(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    before = now(world)
    legacy(WEEK)
    run(world, "second")
    target("update people set email = 'native@example.org' where legacy_id = 3")
    target("update people set internal_note = 'a person was here' where legacy_id = 5")
    edited = now(world)
    outcome = undo(world, "second")
    assert outcome.undone.conflicts == {"edited": 2}
    rows = {("people", i) for (i,) in target("select id::text from people where legacy_id in (3, 5)")}
    assert differing(before, now(world)) == rows
    assert {row: now(world)[row] for row in rows} == {row: edited[row] for row in rows}
    told = target(
        "select entity, key, reason, length(before_hash), length(current_hash) from hybrid_sync.rollback_conflict"
    )
    assert sorted(told) == [("people", [3], "edited", 64, 64), ("people", [5], "edited", 64, 64)]
    report = world.reports.documents[outcome.rollback_id]["rollback"]
    assert report["conflicts"] == [
        {"entity": "people", "reason": "edited", "by_run": None, "records": 2, "keys": ["person:3", "person:5"]}
    ]


def test_a_rollback_leaves_a_page_markdown_and_json_like_any_run(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy(WEEK)
    run(world, "second")
    target("update people set email = 'native@example.org' where legacy_id = 3")
    rollback = undo(world, "second").rollback_id
    for kind in ("html", "md"):
        assert "people/person:3" in world.reports.pages[rollback, kind]
        assert "native@example.org" not in world.reports.pages[rollback, kind]
    assert "**Undone, with rows left alone.**" in world.reports.pages[rollback, "md"]
    assert "Run second was undone." in world.reports.pages[rollback, "md"]

    release_all(world)
    run(world, "third")
    with world.connect_target() as connection:
        kept = recall(connection, rollback, world.catalog)
    assert to_markdown(kept) == world.reports.pages[rollback, "md"], "what the report command shows"
    assert json.loads(to_json(kept)) == world.reports.documents[rollback]


def test_a_rollback_has_no_sum_which_could_add_up_or_not(world: EngineWorld) -> None:
    run(world, "first")
    rollback = undo(world, "first").rollback_id
    with world.connect_target() as connection:
        listed = {row["run_id"]: row["adds_up"] for row in recent_runs(connection, 10, retries=False)}
        told = recall(connection, rollback, world.catalog)
    assert (listed, told.adds_up) == ({"first": "–", rollback: "–"}, "–")


def test_a_rollback_of_a_run_that_wrote_nothing_has_a_report_too(world: EngineWorld) -> None:
    run(world, "first")
    run(world, "second")
    rollback = undo(world, "second").rollback_id
    assert "there was nothing to undo" in world.reports.pages[rollback, "html"]


def test_a_native_edit_between_two_writes_of_the_run_is_not_overwritten(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """The link is the run's last word on the row, but not on what a person wrote before it."""
    run(world, "first")
    legacy("update visit set note = 'changed', best_invoice_id = 100 where id = 1")
    legacy("insert into invoice (id, visit_id, total) values (100, 2, 1)")

    plan = plan_run(world, RunRequest(run_id="second"))
    for task in plan.entities:
        plan_entity(world, task)
        for batch in world.manifests.read("second", task.entity) or []:
            sync_batch(world, batch)
    target("update visits set note = 'native' where legacy_id = 1")
    link_references(world, LinkTask(run_id="second"))
    for task in plan.entities:
        verify_entity(world, task)
    report_run(world, ReportRequest(run_id="second"))
    assert undo(world, "second").undone.conflicts == {"edited": 1}
    assert target("select note from visits where legacy_id = 1") == [("native",)]


def test_a_row_that_something_native_refers_to_is_not_deleted(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("create table attachments (id int primary key, visit uuid references visits on delete cascade)")
    run(world, "first")
    legacy(WEEK)
    run(world, "second")
    target("insert into attachments select 1, id from visits where legacy_id = 100")
    outcome = undo(world, "second")
    assert outcome.undone.conflicts == {"referenced": 2}, "the visit, and the person that it refers to"
    assert target("select count(*) from attachments") == [(1,)]
    told = target("select entity, key, constraint_name from hybrid_sync.rollback_conflict order by 1")
    assert told == [("people", [100], "visits_person_id_fkey"), ("visits", [100], "attachments_visit_fkey")]


def test_the_last_run_goes_first_unless_told_otherwise(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    before = now(world)
    legacy("update person set email = 'second' where id in (2, 3)")
    run(world, "second")
    legacy("update person set email = 'third' where id in (3, 4)")
    run(world, "third")
    with pytest.raises(RequestRejected, match="third has written"):
        undo(world, "second")
    outcome = undo(world, "second", out_of_order=True)
    assert outcome.undone.conflicts == {"superseded": 1}
    assert target("select key, by_run, written_hash is not null from hybrid_sync.rollback_conflict") == [
        ([3], "third", True)
    ]
    assert target("select legacy_id, email from people where legacy_id in (2, 3) order by 1") == [
        (2, "person2@example.org"),
        (3, "third"),
    ]
    undo(world, "third")
    assert undo(world, "second").undone.conflicts == {}, "what stood in the way is gone"
    assert differing(before, now(world)) == set()


def test_a_rollback_can_be_rolled_back(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    before = now(world)
    legacy(WEEK)
    run(world, "second")
    after = now(world)
    first = undo(world, "second")
    second = undo(world, first.rollback_id)
    assert second.undone.conflicts == {}
    assert second.undone.inserted == 7
    assert differing(after, now(world)) == set()
    assert undo(world, "second").undone.conflicts == {}
    assert differing(before, now(world)) == set()


def test_swapped_unique_values_swap_back(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("create unique index on people (email)")
    run(world, "first")
    before = now(world)
    legacy("update person set email = 'aside' where id = 2")
    legacy("update person set email = 'Person2@Example.org' where id = 3")
    legacy("update person set email = 'Person3@Example.org' where id = 2")
    run(world, "second")
    assert target("select email from people where legacy_id = 2") == [("person3@example.org",)]
    assert undo(world, "second").undone.conflicts == {}
    assert differing(before, now(world)) == set()


def test_a_value_that_a_native_row_has_taken_since_keeps_that_row_only(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("create unique index on people (email)")
    run(world, "first")
    before = now(world)
    legacy("update person set email = 'new' || id where id in (2, 3, 4)")
    run(world, "second")
    target("insert into people (id, kind, email) values (gen_random_uuid(), 'nurse', 'person3@example.org')")
    assert undo(world, "second").undone.conflicts == {"refused": 1}
    assert target("select key, sqlstate, constraint_name from hybrid_sync.rollback_conflict") == [
        ([3], "23505", "people_email_idx")
    ]
    [kept] = target("select id::text from people where legacy_id = 3")
    assert {row for row in differing(before, now(world)) if row in before} == {("people", kept[0])}


def test_undoing_a_run_in_flight_stops_it(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    before = now(world)
    legacy(WEEK)
    plan = plan_run(world, RunRequest(run_id="second"))
    people = next(task for task in plan.entities if task.entity == "people")
    plan_entity(world, people)
    [batch] = world.manifests.read("second", "people") or []
    sync_batch(world, batch)
    undo(world, "second")
    with pytest.raises(RunNotRunning):
        sync_batch(world, batch)
    assert differing(before, now(world)) == set()


def test_a_run_that_was_planned_before_the_rollback_cannot_move_its_fence_on(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update person set email = 'second' where id = 2")
    run(world, "second")
    plan = plan_run(world, RunRequest(run_id="third"))
    people = next(task for task in plan.entities if task.entity == "people")
    plan_entity(world, people)
    fence = target("select fence->>'taken_at' from hybrid_sync.fence where entity = 'people'")
    undo(world, "second")
    release_all(world)
    assert not verify_entity(world, people).fence_advanced
    assert target("select fence->>'taken_at' from hybrid_sync.fence where entity = 'people'") < fence


def test_a_held_entity_is_not_written_and_not_released_while_its_rollback_is_at_work(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update person set email = 'second' where id = 2")
    run(world, "second")
    outcome = undo(world, "second")
    target("update hybrid_sync.run set status = 'running' where run_id = %s", outcome.rollback_id)
    with world.connect_target() as connection, pytest.raises(RequestRejected, match="being rolled back"):
        release(connection, ["people"])
    target("update hybrid_sync.run set status = 'succeeded' where run_id = %s", outcome.rollback_id)
    with world.connect_target() as connection:
        assert [(hold.entity, hold.by) for hold in holds(connection)] == [("people", outcome.rollback_id)]
        assert release(connection, ["people", "clinics"]) == ["people"]
        assert holds(connection) == []


def test_a_rollback_that_broke_off_is_finished_by_the_next_call(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    before = now(world)
    legacy(WEEK)
    run(world, "second")
    with world.connect_target() as connection:
        with transaction(connection, "target"):
            broken = begin(connection, world.catalog, RollbackTask(run_id="second"))
        for step in steps(connection, world.catalog, broken.rollback_id, "second")[:2]:
            with transaction(connection, "target"):
                undo_batch(connection, world.catalog, step)
            with transaction(connection, "target"):
                assert undo_batch(connection, world.catalog, step).deleted == 0, "a repeat does nothing"
    outcome = undo(world, "second")
    assert outcome.rollback_id == broken.rollback_id
    assert outcome.undone.conflicts == {}
    assert differing(before, now(world)) == set()


def test_rows_of_an_on_demand_run_are_read_again_although_no_fence_covers_them(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    target("delete from grants where legacy_person_id = 1 and legacy_right_id = 2")
    run(world, "asked", profile="on_demand", refs=[{"entity": "grants", "legacy_id": [1, 2]}])
    assert target("select count(*) from grants where legacy_person_id = 1") == [(3,)]
    undo(world, "asked")
    assert target("select count(*) from grants where legacy_person_id = 1") == [(2,)]
    release_all(world)
    run(world, "next", profile="daily")
    assert target("select count(*) from grants where legacy_person_id = 1") == [(3,)]
    assert target("select status, ended_by from hybrid_sync.failed_record where reason = 'rolled_back'") == [
        ("resolved", "next")
    ]


def test_values_that_json_cannot_carry_come_back_exactly(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    target("update people set settings = 'null' where legacy_id = 4")
    target("update people set settings = '{\"a\": 1.00}' where legacy_id = 5")
    before = now(world)
    legacy("update person set settings = '{\"x\": 1}' where id in (4, 5)")
    run(world, "second")
    undo(world, "second")
    assert differing(before, now(world)) == set()
    assert target(
        "select settings is null, settings::text from people where legacy_id in (4, 5) order by legacy_id"
    ) == [
        (False, "null"),
        (False, '{"a": 1.00}'),
    ]


@pytest.mark.parametrize("policy", list(OnFailure))
def test_a_failed_run_is_kept_held_or_undone_as_its_request_says(
    world: EngineWorld, legacy: Query, target: Query, policy: OnFailure
) -> None:
    run(world, "first")
    before = now(world)
    legacy("update person set email = 'second' where id = 2")
    legacy("update grant_of set level = 7")
    target("alter table grants add check (level < 5) not valid")
    target("update hybrid_sync.entity_state set held = true where entity = 'grants'")
    assert run(world, "second", on_failure=policy).outcome.status == "failed"
    expected = {
        OnFailure.keep: {"grants": None},
        OnFailure.hold: {"grants": "second"},
        OnFailure.rollback: {"grants": None, "people": "rollback-second-1"},
    }[policy]
    for _ in range(2):
        with world.connect_target() as connection:
            assert {hold.entity: hold.by for hold in holds(connection)} == expected
        assert (differing(before, now(world)) == set()) == (policy is OnFailure.rollback)
        again = rollback_run(world, RollbackTask(run_id="second", by_policy=True))
        assert again.rollback_id == ("rollback-second-1" if policy is OnFailure.rollback else "")


def test_a_run_whose_journal_is_gone_is_refused(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    target("update hybrid_sync.run set started_at = started_at - interval '36 days'")
    with pytest.raises(RequestRejected, match="35 days"):
        undo(world, "first")


def test_a_run_is_undone_once(world: EngineWorld) -> None:
    run(world, "first")
    done = undo(world, "first")
    with pytest.raises(RequestRejected, match=done.rollback_id):
        undo(world, "first")


def test_retried_runs_meet_a_held_entity(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("update person set email = 'second' where id = 2")
    run(world, "second")
    undo(world, "second")
    plan = plan_run(world, RunRequest(run_id="third", entities=["people"]))
    with pytest.raises(EntityHeld):
        plan_entity(world, plan.entities[0])


def test_an_adopted_row_is_native_again_and_its_id_is_forgotten(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    people = world.catalog["people"]
    world.catalog.entities["people"] = people.model_copy(
        update={"adopt": Adopt(by=("email",), when="t.internal_note is not null")}
    )
    target(
        "insert into people (id, kind, email, internal_note)"
        " values ('00000000-0000-4000-8000-00000000000c', 'clerk', 'person3@example.org', 'native')"
    )
    before = now(world)
    run(world, "first")
    adopted = target("select legacy_id from people where internal_note = 'native'")
    assert adopted == [(3,)]
    assert undo(world, "first").undone.conflicts == {}
    assert differing(before, now(world)) == set()
    [epoch] = target("select cache_epoch > 0 from hybrid_sync.entity_state where entity = 'people'")
    assert epoch == (True,)
    release_all(world)
    run(world, "second")
    assert target("select legacy_id from people where internal_note = 'native'") == adopted


def test_a_row_that_a_run_deleted_is_back_under_its_id_with_its_native_columns(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    clinics = world.catalog["clinics"]
    world.catalog.entities["clinics"] = clinics.model_copy(update={"on_delete": OnDelete(policy="hard", floor=9)})
    legacy("insert into clinic (id, name, country) values (50, 'Gone', 'US')")
    run(world, "first", profile="weekly")
    target("update clinics set internal_note = 'native' where legacy_id = 50")
    before = target("select * from clinics where legacy_id = 50")
    legacy("delete from clinic where id = 50")
    run(world, "second", profile="weekly")
    assert target("select * from clinics where legacy_id = 50") == []
    outcome = undo(world, "second")
    assert outcome.undone.inserted == 1
    assert target("select * from clinics where legacy_id = 50") == before


def test_the_journal_of_a_weekly_run_loses_only_weeks_that_no_run_needs(world: EngineWorld, target: Query) -> None:
    run(world, "first", profile="weekly")
    for days in (20, 60):
        target("select hybrid_sync.ensure_journal_partition(now() - make_interval(days => %s))", days)
    weeks = "select count(*) from pg_inherits where inhparent = 'hybrid_sync.journal'::regclass"
    [(made,)] = target(weeks)
    run(world, "daily", profile="daily")
    assert target(weeks) == [(made,)]
    run(world, "second", profile="weekly")
    assert target(weeks) == [(made - 1,)]
