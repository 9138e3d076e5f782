"""Rows that exchange unique values, and native rows that refer to them: by their id, or by the value itself."""

from __future__ import annotations

import pytest

from tests.engine.conftest import Query
from tests.engine.test_swaps import failed, rotate, same
from tests.engine.test_swaps import world as world
from tests.engine.worlds import EngineWorld, run

BOUND = ["no action", "restrict", "no action deferrable", "no action deferrable initially deferred"]
GUESTS = "select g.name, g.seat, s.legacy_id from guests g left join seats s on s.code = g.seat order by 1"


def guests(target: Query, reference: str, value: str) -> None:
    """Of the rows 3, 4 and 9."""
    target("alter table seats add constraint u unique (code)")
    target(f"create table guests (name text, seat {reference}); grant select on guests to public")
    target(f"insert into guests select 'g' || legacy_id, {value} from seats where legacy_id in (3, 4, 9)")


def test_native_children_by_id_are_no_matter(world: EngineWorld, legacy: Query, target: Query) -> None:
    guests(target, "uuid references seats", "id")
    before = target("select * from guests order by 1")
    rotate(legacy, "code", 3, 4, 1)
    assert run(world, "second").outcome.status == "succeeded"
    assert (failed(target), same(legacy, target)) == ([], True)
    assert target("select * from guests order by 1") == before


def test_native_children_by_the_value_go_with_it_where_they_say_so(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    guests(target, "int references seats (code) on update cascade", "code")
    rotate(legacy, "code", 3, 4, 1)
    assert run(world, "second").outcome.status == "succeeded"
    assert (failed(target), same(legacy, target)) == ([], True)
    assert target(GUESTS) == [("g3", 4, 3), ("g4", 3, 4), ("g9", 9, 9)]


@pytest.mark.parametrize("action", BOUND)
def test_native_children_that_hold_a_value_cost_the_rows_that_exchange_it_and_no_others(
    world: EngineWorld, legacy: Query, target: Query, action: str
) -> None:
    """And they are carried once the children let go."""
    kept = action.removeprefix("no action").strip() if action != "restrict" else "on update restrict"
    guests(target, f"int references seats (code) {kept}", "code")
    before = target(GUESTS)
    rotate(legacy, "code", 3, 4, 1)
    rotate(legacy, "code", 20, 29, 3)
    legacy("update seat set email = 'other@example.org' where id = 9")
    assert run(world, "second").outcome.status == "degraded"
    assert failed(target) == [(3, "unique_violation", "u"), (4, "unique_violation", "u")]
    assert target("select count(*) from seats where legacy_id between 20 and 29 and code = legacy_id") == [(0,)]
    assert target(GUESTS) == before
    target("delete from guests")
    assert run(world, "third").outcome.status == "succeeded"
    assert (failed(target), same(legacy, target)) == ([], True)
