"""A cached id that leads nowhere costs one question to the target, and never a wrong or dangling reference."""

from __future__ import annotations

import uuid

import pytest

from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

STALE = uuid.UUID(int=0xDEAD).bytes


@pytest.fixture(params=["declared", "undeclared"])
def foreign_key(request: pytest.FixtureRequest, world: EngineWorld, target: Query) -> str:
    """Once with a foreign key of the target that tells, once without: then the engine has to look by itself."""
    if request.param == "undeclared":
        target("alter table visits drop constraint visits_person_id_fkey")
    return str(request.param)


def stale(world: EngineWorld, person: int) -> None:
    world.id_cache.put("people", "person", 0, {(person,): STALE})


def test_a_reference_by_a_stale_id_is_resolved_by_the_target(
    world: EngineWorld, legacy: Query, target: Query, foreign_key: str
) -> None:
    run(world, "first")
    stale(world, 5)
    legacy("insert into visit (person_id, note) select 5, 'late' from generate_series(1, 3)")
    second = run(world, "second")
    assert second.total("visits")["failed"] == 0
    assert target("select p.legacy_id from visits v join people p on p.id = v.person_id where v.note = 'late'") == [
        (5,), (5,), (5,),
    ]  # fmt: skip


def test_a_reference_whose_parent_is_gone_is_a_failed_record_that_waits_for_it(
    world: EngineWorld, legacy: Query, target: Query, foreign_key: str
) -> None:
    run(world, "first")
    stale(world, 99)
    legacy("insert into visit (id, person_id, note) values (100, 99, 'nobody'), (101, 5, 'somebody')")
    run(world, "second")
    failed = target(
        "select reason, waits_for ->> 'entity', waits_for -> 'key' from hybrid_sync.failed_record"
        " where entity = 'visits' and key = '{100}'"
    )
    assert failed == [("missing_parent", "people", [99])]
    assert target("select count(*) from visits where note = 'nobody'") == [(0,)]
    assert target("select count(*) from visits where note = 'somebody'") == [(1,)]


def test_a_deferred_reference_by_a_stale_id_waits_for_its_link(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    stale(world, 99)
    legacy("insert into person (id, clinic_id, email, manager_id) values (50, 1, 'new@example.org', 99)")
    run(world, "second")
    assert target("select manager_id from people where legacy_id = 50") == [(None,)]
    assert target("select parent_key from hybrid_sync.pending_link where entity = 'people' and key = '{50}'") == [(99,)]
    legacy("insert into person (id, clinic_id, email) values (99, 1, 'boss@example.org')")
    run(world, "third")
    assert target("select m.legacy_id from people p join people m on m.id = p.manager_id where p.legacy_id = 50") == [
        (99,)
    ]
