"""Somebody changes a table's definition on either side while a run is at work."""

from __future__ import annotations

import pytest

from hybrid_sync.failpoints import armed
from hybrid_sync.schema import plans
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.test_triggers import refused, trigger
from tests.engine.worlds import EngineWorld, run

BORN = "select array_agg(born order by {0}) from {1} where {0} is not null"


def other_worker() -> None:
    """What comes next is done by a worker that has no plan yet, as in a deployment each step may be."""
    plans._recent.clear()


@pytest.mark.parametrize("warm", [False, True])
def test_a_column_of_legacy_that_is_made_anew_in_mid_run_is_read_by_the_next(
    world: EngineWorld, legacy: Query, target: Query, warm: bool
) -> None:
    """No row of legacy shows it, so only another definition than the one that the rows were read by does."""
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")

    def change() -> None:
        legacy("alter table person drop column born; alter table person add column born date default '2000-01-01'")
        if not warm:
            other_worker()

    with armed({"batch.committed": Do(change)}) as points:
        run(world, "second", profile="daily", entities=("people",))
    assert points.fired["batch.committed"]
    other_worker()
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target(BORN.format("legacy_id", "people")) == legacy(BORN.format("id", "person"))


CHANGES = {
    "a column made anew": "alter table people drop column born; alter table people add column born date",
    "a column retyped": "alter table people alter column born type timestamp",
    "the table exchanged": (
        "create table young (like people including all); insert into young select * from people where false;"
        " alter table people rename to old; alter table young rename to people;"
        " grant select, insert, update, delete on people to hybrid_sync_worker"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("warm", [False, True])
def test_a_target_table_that_is_changed_in_mid_run_costs_its_entity(
    world: EngineWorld, legacy: Query, target: Query, change: str, warm: bool
) -> None:
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")

    def other() -> None:
        target(CHANGES[change])
        if not warm:
            other_worker()

    with armed({"batch.committed": Do(other)}):
        assert run(world, "second", profile="daily", entities=("people",)).outcome.status == "failed"
    ((failure,),) = target("select cause from hybrid_sync.run_failure where run_id = 'second'")
    assert "while the run was at work" in failure
    other_worker()
    if change != "a column retyped":  # that cannot be read on as it is
        run(world, "third", profile="daily")
        assert target(BORN.format("legacy_id", "people")) == legacy(BORN.format("id", "person"))


@pytest.mark.parametrize("when", ["before insert", "before update"])
def test_a_value_that_a_trigger_changed_which_the_plan_did_not_know_is_told(
    world: EngineWorld, legacy: Query, target: Query, when: str
) -> None:
    run(world, "first")
    legacy("insert into visit (id, person_id, note) values (40, 1, 'three');update visit set note = 'three' where id=3")
    body = "if new.note = 'three' then new.note := 'other'; end if; return new;"
    with armed({"batch.claimed": Do(lambda: trigger(target, body, when))}):
        run(world, "second", profile="daily", entities=("visits",))
    key = 40 if when == "before insert" else 3
    assert refused(target) == [(key, "trigger_changed_value", None, None)]


def test_a_column_of_legacy_that_is_retyped_in_mid_run_costs_its_entity(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """A year of four bytes is taken for a day of four bytes, by a worker that had planned with the column of before."""
    run(world, "first")
    legacy("update person set email = 'new' || id || '@example.org'")
    retype = "alter table person alter column born type int using extract(year from born)::int"
    with armed({"batch.claimed": Do(lambda: legacy(retype))}):
        assert run(world, "second", profile="daily", entities=("people",)).outcome.status == "failed"
    ((cause,),) = target("select cause from hybrid_sync.run_failure where run_id = 'second'")
    assert "was given another type while the run was at work" in cause
    legacy("alter table person alter column born type date using make_date(born, 1, 1)")
    other_worker()
    run(world, "third", profile="daily")
    assert target(BORN.format("legacy_id", "people")) == legacy(BORN.format("id", "person"))
