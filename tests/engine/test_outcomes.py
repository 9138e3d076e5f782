"""How a run ends: succeeded, degraded or failed; what is tolerated, and what became of rows that were asked for."""

from __future__ import annotations

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Tolerance
from hybrid_sync.contracts import OnFailure, Ref, RollbackTask
from hybrid_sync.failpoints import armed
from hybrid_sync.report.model import RunSummary
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def tolerating(world: EngineWorld, entity: str, *tolerances: Tolerance) -> EngineWorld:
    """The same world, whose catalog tolerates more."""
    entities = dict(world.catalog.entities)
    entities[entity] = entities[entity].model_copy(update={"tolerate": tolerances})
    world.catalog = Catalog(entities)
    return world


def told(world: EngineWorld, run_id: str) -> RunSummary:
    return RunSummary.model_validate(world.reports.documents[run_id])


def break_some(legacy: Query, rows: int) -> None:
    """So many of the twelve people hold bad JSON."""
    legacy(f"update person set settings = 'not json' where id > 12 - {rows}")


def test_rows_that_fail_beyond_any_tolerance_degrade_the_run_and_move_the_fence(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    break_some(legacy, 1)

    done = run(world, "first")

    assert done.outcome.status == "degraded"
    assert target("select status from hybrid_sync.run") == [("degraded",)]
    assert target("select fence_advanced from hybrid_sync.run_entity where entity = 'people'") == [(True,)]
    [(subject, body)] = world.alerts.published
    assert subject == "hybrid-sync ALERT: weekly run degraded"
    assert "people: 1 row failed with bad_json; the catalog tolerates none." in body


@pytest.mark.parametrize(
    ("broken", "tolerance", "status"),
    [
        (1, Tolerance(reason="bad_json", rows=1, why="known"), "succeeded"),
        (2, Tolerance(reason="bad_json", rows=1, why="known"), "degraded"),
        (3, Tolerance(reason="bad_json", share=0.25, why="known"), "succeeded"),
        (4, Tolerance(reason="bad_json", share=0.25, why="known"), "degraded"),
        (1, Tolerance(reason="unknown_enum", share=1, why="of another reason"), "degraded"),
    ],
)
def test_the_catalog_tolerates_up_to_what_is_written_and_no_more(
    world: EngineWorld, legacy: Query, broken: int, tolerance: Tolerance, status: str
) -> None:
    break_some(legacy, broken)
    legacy("update person set manager_id = null")
    run(world, "parents", entities=("clinics",))

    done = run(tolerating(world, "people", tolerance), "first", entities=("people",))

    assert done.outcome.status == status
    assert told(world, "first").missed[0].beyond == (status == "degraded")


def test_a_table_of_which_every_row_fails_is_not_a_success(world: EngineWorld, legacy: Query) -> None:
    legacy("update clinic set country = 'XX'")

    done = run(world, "first", entities=("clinics",))

    assert done.outcome.status == "degraded"
    assert (told(world, "first").success_rate, told(world, "first").adds_up) == (0.0, "explained")


def test_an_empty_table_is_no_hundred_percent(world: EngineWorld, legacy: Query) -> None:
    legacy("delete from grant_of")

    run(world, "first", entities=("grants",))

    assert told(world, "first").success_rate is None


@pytest.mark.parametrize("policy", [OnFailure.hold, OnFailure.rollback])
def test_a_degraded_run_is_neither_held_nor_rolled_back(
    world: EngineWorld, legacy: Query, target: Query, policy: OnFailure
) -> None:
    break_some(legacy, 1)
    run(world, "first", on_failure=policy)

    settled = rollback_run(world, RollbackTask(run_id="first", by_policy=True))

    assert (settled.held, settled.rollback_id) == ((), "")
    assert target("select count(*) from hybrid_sync.entity_state where held") == [(0,)]
    assert target("select count(*) from people") == [(11,)]


def test_a_run_of_a_part_is_titled_as_one_everywhere(world: EngineWorld) -> None:
    run(world, "part", profile="verify", entities=("clinics",))

    assert "in part: 1 of 6 components" in world.reports.pages["part", "html"]
    assert "in part: 1 of 6 components" in world.reports.pages["part", "md"]
    assert "in part: 1 of 6 components" in world.alerts.published[0][1]


def ask(world: EngineWorld, *refs: Ref) -> tuple[str, dict[str, tuple[str, bool]]]:
    """The status of an on-demand run of these rows, and what it says of each."""
    done = run(world, "asked", profile="on_demand", refs=refs)
    return done.outcome.status, {row.ref: (row.state, row.ok) for row in told(world, "asked").asked}


def test_a_row_that_exists_nowhere_is_not_found_and_named_by_its_key(world: EngineWorld) -> None:
    status, rows = ask(world, Ref(entity="clinics", legacy_id=1), Ref(entity="clinics", legacy_id=4711))

    assert status == "degraded"
    assert rows == {"clinics/clinic:1": ("current", True), "clinics/clinic:4711": ("not_found", False)}
    for text in (
        world.reports.pages["asked", "html"],
        world.reports.pages["asked", "md"],
        world.alerts.published[0][1],
    ):
        assert "clinics/clinic:4711: not found" in text


def test_a_row_that_was_asked_for_and_failed_is_told_and_its_neighbours_failures_are_not(
    world: EngineWorld, legacy: Query
) -> None:
    break_some(legacy, 2)
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 11")

    status, rows = ask(world, Ref(entity="people", legacy_id=11))

    assert (status, rows) == ("degraded", {"people/person:11": ("absent", False)})
    assert told(world, "asked").missed_records == 1


def test_failures_of_other_rows_do_not_degrade_a_run_of_one_row(world: EngineWorld, legacy: Query) -> None:
    break_some(legacy, 2)
    run(world, "first")

    assert ask(world, Ref(entity="people", legacy_id=1)) == ("succeeded", {"people/person:1": ("current", True)})


def test_a_row_that_a_rule_excludes_is_told_as_that_and_is_no_failure(world: EngineWorld) -> None:
    assert ask(world, Ref(entity="invoices", legacy_id=4)) == (
        "succeeded",
        {"invoices/invoice:4": ("excluded", True)},
    )


def test_a_row_that_legacy_has_deleted_and_the_target_keeps_by_policy_is_told(
    world: EngineWorld, legacy: Query
) -> None:
    run(world, "first")
    legacy("delete from grant_of where (person_id, right_id) = (2, 1)")

    assert ask(world, Ref(entity="grants", legacy_id=(2, 1))) == ("succeeded", {"grants/grant_of:2,1": ("kept", True)})


def test_a_rolled_back_run_is_shown_as_that_and_does_not_add_up(world: EngineWorld) -> None:
    run(world, "first")
    assert told(world, "first").adds_up == "explained"

    rollback_run(world, RollbackTask(run_id="first"))

    after = told(world, "first")
    assert (after.status, after.conserved, after.adds_up) == ("rolled_back", False, "–")
    assert "Rolled back" in world.reports.pages["first", "html"]


# As a worker is on PostgreSQL 15, where nobody but a superuser can give BYPASSRLS: a policy shows it every row.
BOUND = """
do $$ declare t regclass; begin
  begin alter role hybrid_sync_worker nobypassrls; exception when insufficient_privilege then null; end;
  for t in select oid from pg_class c where relkind in ('r', 'p') and relrowsecurity
           and relnamespace = 'hybrid_sync'::regnamespace and not exists (select from pg_policy where polrelid = c.oid)
  loop execute format('create policy seen on %s to hybrid_sync_worker using (true) with check (true)', t); end loop;
end $$
"""
SWITCHED_ON = "alter table clinics enable row level security"
FREE = "do $$ begin alter role hybrid_sync_worker bypassrls; exception when insufficient_privilege then null; end $$"


def test_a_run_does_not_say_that_all_is_right_where_a_policy_may_hide_rows_of_the_target(
    world: EngineWorld, target: Query
) -> None:
    target(BOUND)
    try:
        target("alter table clinics enable row level security")
        target("create policy seen on clinics to hybrid_sync_worker using (true) with check (true)")
        assert run(world, "first").outcome.status == "succeeded"
        target(
            "create policy partly on clinics as restrictive for select to hybrid_sync_worker using (true or name <> '')"
        )

        assert run(world, "second").outcome.status == "degraded"

        assert any(
            "the policy partly hides some" in sentence
            for e in told(world, "second").entities
            for sentence in e.hidden_rows
        )
    finally:
        target(FREE)


@pytest.mark.parametrize(
    "change",
    ["insert into clinic (name, country) values ('South', 'US')", "update clinic set name = 'Other' where id = 1"],
)
def test_row_security_that_is_switched_on_while_a_run_is_at_work_is_named_as_that(
    world: EngineWorld, legacy: Query, target: Query, change: str
) -> None:
    """Of a row that a policy refuses, as of one that it hides, a trigger was told to be the cause."""
    run(world, "first")
    legacy(change)
    target(BOUND)
    try:
        with armed({"batch.claimed": Do(lambda: target(SWITCHED_ON))}):
            run(world, "second", profile="daily", entities=("clinics",))
    finally:
        target(FREE)
    causes = target(
        "select cause from hybrid_sync.run_failure where run_id = 'second' and error = 'structure_mismatch'"
    )
    [(cause,)] = causes
    assert "Row security of the target's public.clinics applies to our role since this run was planned" in cause
    assert target("select count(*) from hybrid_sync.failed_record where entity = 'clinics'") == [(0,)]


def test_of_a_run_that_was_never_recorded_nothing_is_to_settle(world: EngineWorld) -> None:
    settled = rollback_run(world, RollbackTask(run_id="never", by_policy=True))
    assert (settled.more, settled.held, settled.rollback_id) == (False, (), "")
