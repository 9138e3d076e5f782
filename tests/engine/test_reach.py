"""A table that does not fit costs its entity and what refers to it; everything else of the run is carried."""

from __future__ import annotations

import pytest

from hybrid_sync.contracts import EntityTask, RunFailure, RunRequest
from hybrid_sync.errors import ParentFailed
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.record_failure import record_failure
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def codes(target: Query, run_id: str) -> dict[str, str]:
    return dict(target("select entity, coalesce(failure->>'code', status) from hybrid_sync.run_entity"
                       " where run_id = %s", run_id))  # fmt: skip


def test_a_table_that_does_not_fit_costs_its_entity_alone(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    target("drop table messages")
    legacy("insert into clinic (name, country) values ('West', 'US')")
    assert run(world, "second").outcome.status == "failed"
    assert codes(target, "second") == {
        "clinics": "verified", "people": "verified", "visits": "verified", "invoices": "verified",
        "grants": "verified", "messages": "structure_mismatch",
    }  # fmt: skip
    assert target("select count(*) from clinics where name = 'West'") == [(1,)]


def test_what_refers_to_a_table_that_does_not_fit_waits_with_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    target("alter table people drop column born")
    assert run(world, "second").outcome.status == "failed"
    assert codes(target, "second") == {
        "clinics": "verified", "people": "structure_mismatch", "visits": "parent_failed",
        "invoices": "parent_failed", "grants": "parent_failed", "messages": "parent_failed",
    }  # fmt: skip


def test_a_repeated_delivery_returns_the_plan_without_what_failed(world: EngineWorld, target: Query) -> None:
    target("drop table messages")
    first = plan_run(world, RunRequest(run_id="r"))
    assert plan_run(world, RunRequest(run_id="r")) == first
    assert "messages" not in {task.entity for task in first.entities}
    assert target("select count(*) from hybrid_sync.run_failure") == [(1,)]


def test_a_child_whose_parent_broke_after_planning_waits_with_it(world: EngineWorld, target: Query) -> None:
    plan_run(world, RunRequest(run_id="r"))
    record_failure(world, RunFailure(run_id="r", entity="people", state="SyncBatch", error=ParentFailed.code))
    with pytest.raises(ParentFailed, match=r"visits.yaml.*people"):
        plan_entity(world, EntityTask(run_id="r", entity="visits"))


def test_a_link_whose_table_breaks_costs_its_entity_and_no_other_step(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("delete from invoice")
    run(world, "first")
    assert target("select count(*) from hybrid_sync.pending_link where entity = 'visits'") == [(12,)]
    target("delete from hybrid_sync.failed_record; drop table invoices cascade")
    legacy("insert into clinic (name, country) values ('West', 'US')")
    run(world, "second", entities=("clinics", "visits"))
    assert codes(target, "second")["visits"] == "structure_mismatch"
    assert target("select count(*) from clinics where name = 'West'") == [(1,)]


def test_a_rule_on_a_mapped_table_is_refused_by_name(world: EngineWorld, target: Query) -> None:
    target("create rule swallow as on update to messages do instead nothing")
    plan_run(world, RunRequest(run_id="r"))
    ((text,),) = target("select failure->>'text' from hybrid_sync.run_entity where entity = 'messages'")
    assert "swallow" in text
