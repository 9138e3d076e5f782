"""A first load into an empty table: what is dropped for it is there again afterwards, exactly, and holds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.contracts import Profile, ReportRequest, RollbackTask, RunFailure, RunRequest
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.schema.bulk import ROWS as ROWS_OF_A_PAGE
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.report_run import report_run
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.bulk import LEFT, ROWS, SHAPE, Do, Look, Waits, things_world
from tests.engine.bulk import the_legacy as the_legacy
from tests.engine.bulk import the_target as the_target
from tests.engine.bulk import the_world as the_world
from tests.engine.conftest import Query, _runner
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects


def test_everything_is_there_again_as_it_was_and_holds(bulk_world: EngineWorld, target: Query) -> None:
    before = target(SHAPE)
    look = Look(lambda: target(SHAPE))
    with armed({"batch.claimed": look}) as points:
        done = run(bulk_world, "first")
    assert done.outcome.status == "succeeded"
    assert target(SHAPE) == before
    assert target(ROWS) == [(40, 400)]
    assert points.passed["bulk.made"] == 12, (
        "a primary key, six indexes, and five foreign keys, one of which was not valid"
    )
    gone = set(before) - set(look.seen)
    assert {row[0] for row in gone if row[1].startswith("CREATE")} == {
        "owners_pkey", "owners_first_thing_idx", 'shop."by Size"', "shop.half", "shop.hashed", "shop.tagged",
        "shop.spans",
    }  # fmt: skip
    assert len(gone) == 13 and not set(look.seen) - set(before), "what keeps rows apart, or says more, has stayed"
    assert target(LEFT) == [(0,)]
    assert target("select run_id from hybrid_sync.bulk_table order by entity") == [(None,), (None,)]
    with armed({"bulk.begun": Look(list)}) as later:
        assert run(bulk_world, "second").outcome.summary["inserted"] == 0
    assert not later.passed["bulk.begun"], "what has been carried once has no first load any more"
    pages = {name: tasks[0].model_dump()["page_rows"] for name, tasks in bulk_world.manifests.tasks.items() if tasks}
    assert pages[("first", "things")] == ROWS_OF_A_PAGE, "few pages, since what one costs by itself is paid for each"


def test_only_what_the_next_run_would_make_again_is_not_waited_for(bulk_world: EngineWorld) -> None:
    waits = {name: Waits() for name in ("bulk.beginning", "batch.before_commit", "bulk.making", "bulk.proving",
                                        "verify.recording")}  # fmt: skip
    with armed(waits):
        assert run(bulk_world, "first").outcome.status == "succeeded"
    assert {name: point.seen for name, point in waits.items()} == {
        "bulk.beginning": ["on"], "batch.before_commit": ["on"], "bulk.making": ["off"], "bulk.proving": ["off"],
        "verify.recording": ["on"],
    }, "with the verdict all that was made before it is on the disk"  # fmt: skip


BETWEEN = ["bulk.beginning", "batch.committed", "bulk.making", "bulk.made", "bulk.proving", "bulk.ended"]


@pytest.mark.parametrize("point", BETWEEN)
def test_a_load_that_broke_off_is_ended_by_whatever_run_comes_next(
    bulk_world: EngineWorld, target: Query, point: str
) -> None:
    before = target(SHAPE)
    with armed({point: Raise()}) as points, suppress(FailpointRaised):
        run(bulk_world, "first")
    assert points.fired[point]
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    few = run(bulk_world, "few", profile="on_demand", refs=[{"entity": "things", "legacy_id": 400}])
    assert few.outcome.status == "succeeded"
    assert target(SHAPE) == before
    assert target(LEFT) == [(0,)]
    assert run(bulk_world, "second").outcome.status == "succeeded"
    assert target(ROWS) == [(40, 400)]
    assert target(SHAPE) == before


def test_a_load_of_which_only_the_plan_was_made_is_ended_by_a_run_of_a_few_keys(
    bulk_world: EngineWorld, target: Query
) -> None:
    before = target(SHAPE)
    plan_run(bulk_world, RunRequest(run_id="first", profile=Profile.daily))
    assert target(LEFT) == [(12,)]
    target("update hybrid_sync.run set status = 'lost'")
    run(bulk_world, "few", profile="on_demand", refs=[{"entity": "things", "legacy_id": 400}])
    assert target(SHAPE) == before
    assert target(LEFT) == [(0,)]


def test_a_run_that_breaks_off_before_its_batches_leaves_the_keys_in_place(
    bulk_world: EngineWorld, target: Query
) -> None:
    before = target(SHAPE)
    plan_run(bulk_world, RunRequest(run_id="first", profile=Profile.daily))
    failure = RunFailure(run_id="first", state="PlanRun", error="States.Timeout", cause="It took too long.")
    assert report_run(bulk_world, ReportRequest(run_id="first", failure=failure)).status == "failed"
    assert target(SHAPE) == before
    assert target(LEFT) == [(0,)]


def test_a_crash_while_rows_are_taken_back_loses_none_of_them(
    bulk_world: EngineWorld, target: Query, legacy: Query
) -> None:
    legacy("update things set kind = 'nowhere' where id in (3, 390)")
    with armed({"bulk.taken_back": Raise()}) as points, suppress(FailpointRaised):
        run(bulk_world, "first")
    assert points.fired["bulk.taken_back"]
    assert target(ROWS) == [(40, 400)]
    target("update hybrid_sync.run set status = 'lost'")
    run(bulk_world, "second")
    assert target(ROWS) == [(40, 398)]
    assert target("select count(*) from hybrid_sync.failed_record where status = 'open'") == [(2,)]
    assert target(LEFT) == [(0,)]


def test_an_invalid_index_is_left_alone(legacy_db: str, target_db: str, projects: Projects) -> None:
    world, target = things_world(legacy_db, target_db), _runner(target_db)
    superuser = projects.server.dsn(conninfo_to_dict(target_db)["dbname"])
    _runner(superuser)("update pg_index set indisvalid = false where indexrelid = 'shop.half'::regclass")
    before, look = target(SHAPE), Look(lambda: target(SHAPE))
    with armed({"batch.claimed": look}):
        assert run(world, "first").outcome.status == "succeeded"
    assert [row for row in look.seen if row[0] == "shop.half"] == [row for row in before if row[0] == "shop.half"]
    assert target(SHAPE) == before


def test_a_load_that_broke_off_is_rolled_back_with_its_keys_in_place(bulk_world: EngineWorld, target: Query) -> None:
    before = target(SHAPE)
    with armed({"bulk.proving": Raise()}), suppress(FailpointRaised):
        run(bulk_world, "first")
    undone = rollback_run(bulk_world, RollbackTask(run_id="first"))
    assert undone.undone.conflicts == {}
    assert target(SHAPE) == before
    assert target(ROWS) == [(0, 0)]


def test_a_row_that_breaks_a_foreign_key_is_a_failed_record_as_without_the_load(
    bulk_world: EngineWorld, target: Query, legacy: Query
) -> None:
    before = target(SHAPE)
    legacy("update things set kind = 'nowhere' where id in (3, 390)")
    done = run(bulk_world, "first")
    assert done.outcome.status == "failed" or done.outcome.status == "degraded"
    assert target(SHAPE) == before
    assert target(ROWS) == [(40, 398)]
    record = (
        "select key::text, reason, constraint_name, sqlstate, present, status from hybrid_sync.failed_record"
        ' order by key::text collate "C"'
    )
    assert target(record) == [
        (key, "foreign_key_violation", "kept_kind", "23503", False, "open") for key in ("{390}", "{3}")
    ]
    legacy("update things set kind = 'b' where id in (3, 390)")
    assert run(bulk_world, "second").outcome.status == "succeeded"
    assert target(ROWS) == [(40, 400)]
    for name in ("second", "first"):
        assert rollback_run(bulk_world, RollbackTask(run_id=name)).undone.conflicts == {}
    assert target(ROWS) == [(0, 0)]
    assert target(SHAPE) == before


def test_a_stale_cache_entry_costs_its_rows_until_the_next_run(bulk_world: EngineWorld, target: Query) -> None:
    cache = bulk_world.id_cache.ids

    def spoil() -> None:
        [place] = [place for place in cache if place[0] == "owners" and place[3] == (3,)]
        cache[place] = b"\x01" * 16

    with armed({"batch.cached": Do(spoil)}):
        run(bulk_world, "first")
    assert target(ROWS) == [(40, 390)]
    failed = "select reason, constraint_name, count(*)::int from hybrid_sync.failed_record group by 1, 2"
    assert target(failed) == [("foreign_key_violation", "of owner", 10)]
    assert run(bulk_world, "second").outcome.status == "succeeded"
    assert target(ROWS) == [(40, 400)]


NATIVE = "00000000-0000-4000-8000-00000000000"


def test_what_natives_wrote_meanwhile_is_named_and_left_alone(bulk_world: EngineWorld, target: Query) -> None:
    insert = f"""insert into shop."Things" (id, owner_id) values ('{NATIVE}1', '{NATIVE}9')"""
    with armed({"batch.committed": Do(lambda: target(insert))}):
        done = run(bulk_world, "first")
    assert done.outcome.status == "failed"
    assert target(ROWS) == [(40, 401)]
    [(failure,)] = target("select cause from hybrid_sync.run_failure where error = 'foreign_key_unproven'")
    assert "things" in failure and "of owner" in failure and f"{NATIVE}1" in failure
    valid = "select convalidated from pg_constraint where conname = 'of owner'"
    assert target(valid) == [(False,)], "new rows are checked by it, and the old one is known"
    told = run(bulk_world, "second")
    assert "of owner" in str(target("select warnings from hybrid_sync.run_entity where run_id = 'second'"))
    assert told.outcome.summary["inserted"] == 0
    target(f"delete from shop.\"Things\" where id = '{NATIVE}1'")
    assert run(bulk_world, "third").outcome.status == "succeeded"
    assert target(valid) == [(True,)]


def test_a_row_that_a_person_has_changed_meanwhile_is_not_taken_back(legacy_db: str, target_db: str) -> None:
    world, target = things_world(legacy_db, target_db, owners="usual"), _runner(target_db)
    _runner(legacy_db)("update things set kind = 'nowhere' where id in (3, 4)")
    change = "update shop.\"Things\" set note = 'mine' where legacy_id = 3"
    with armed({"bulk.made": Do(lambda: target(change))}):
        done = run(world, "first")
    assert done.outcome.status == "failed"
    assert target('select note from shop."Things" where legacy_id in (3, 4)') == [("mine",)]
    assert "kept_kind" in str(target("select cause from hybrid_sync.run_failure"))
