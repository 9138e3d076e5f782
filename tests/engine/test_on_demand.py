"""A request for a few rows brings just them, and the parents that they need."""

from __future__ import annotations

import pytest

from hybrid_sync.contracts import Ref
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def test_a_new_row_arrives_with_its_missing_parents(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("insert into clinic (id, name, country) values (77, 'New', 'US')")
    legacy("insert into person (id, clinic_id, email) values (70, 77, 'n@example.org')")
    legacy("insert into visit (id, person_id, note) values (71, 70, 'n')")
    legacy("insert into invoice (id, visit_id, total) values (72, 71, 10)")
    legacy("insert into remark (person_id, body) values (1, 'not asked for')")
    done = run(world, "asked", profile="on_demand", refs=(Ref(entity="invoices", legacy_id=72),))
    assert done.outcome.status == "succeeded"
    assert {e: done.total(e)["inserted"] for e in done.batches} == {
        "clinics": 1,
        "people": 1,
        "visits": 1,
        "invoices": 1,
    }
    assert target("select count(*) from messages where body = 'not asked for'") == [(0,)]


def test_fences_do_not_move_so_the_next_full_run_misses_nothing(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    before = target("select entity, version from hybrid_sync.fence order by 1")
    legacy("update remark set body = 'x'")
    run(world, "asked", profile="on_demand", refs=(Ref(entity="messages", source="remark", legacy_id=1),))
    assert target("select entity, version from hybrid_sync.fence order by 1") == before
    assert run(world, "second").total("messages")["read"] == 6


def test_a_run_of_keys_and_entities_and_one_of_a_date_range_move_no_fence(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    before = target("select entity, version from hybrid_sync.fence order by 1")
    ref = Ref(entity="messages", source="remark", legacy_id=1)
    run(world, "keys", profile="on_demand", entities=("messages",), refs=(ref,))
    run(world, "range", profile="on_demand", entities=("people",), since="2020-01-01")
    assert target("select entity, version from hybrid_sync.fence order by 1") == before


def test_whole_entities_on_demand_move_their_fences(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    run(world, "asked", profile="on_demand", entities=("messages",))
    moved = target("select entity from hybrid_sync.fence where run_id = 'asked'")
    assert moved == [("messages",)]


def test_a_date_range_selects_by_the_sources_timestamp(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("update person set updated_at = '2020-02-02', email = 'old@example.org' where id in (3, 4)")
    asked = run(world, "asked", profile="on_demand", entities=("people",), since="2020-01-01", until="2020-12-31")
    assert asked.total("people")["read"] == 2
    assert asked.outcome.status == "succeeded"


def test_a_composite_key_can_be_asked_for(world: EngineWorld, legacy: Query) -> None:
    run(world, "first")
    legacy("update grant_of set level = 5 where person_id = 1 and right_id = 2")
    done = run(world, "asked", profile="on_demand", refs=(Ref(entity="grants", legacy_id=[1, 2]),))
    assert done.total("grants")["updated"] == 1


@pytest.mark.parametrize(("key", "status"), [(999, "degraded"), (1, "succeeded")])
def test_a_row_that_legacy_does_not_have_is_no_error_and_is_told(
    world: EngineWorld, legacy: Query, key: int, status: str
) -> None:
    run(world, "first")
    legacy("delete from remark where id = 1")
    done = run(world, "asked", profile="on_demand", refs=(Ref(entity="messages", source="remark", legacy_id=key),))
    assert done.outcome.status == status


def test_amounts_of_single_rows_stay_in_the_target(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update invoice set total = 4711.13 where id = 2")
    done = run(world, "asked", profile="on_demand", refs=(Ref(entity="invoices", legacy_id=2),))
    assert done.outcome.status == "succeeded"
    assert "4711.13" in repr(target("select money from hybrid_sync.run_entity where run_id = 'asked'"))
    assert "4711" not in repr((world.reports.documents["asked"], world.alerts.published, done.outcome))
