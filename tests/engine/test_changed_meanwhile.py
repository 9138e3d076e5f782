"""Somebody changes a table's definition on either side while a run is at work."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from hybrid_sync.contracts import Ref, RunRequest, SyncedKeys
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.failpoints import Action, FailpointRaised, Raise, armed
from hybrid_sync.schema import plans
from hybrid_sync.steps.sync_keys import sync_keys
from tests.engine.bulk import Do
from tests.engine.conftest import Query
from tests.engine.test_triggers import refused, trigger
from tests.engine.worlds import EngineWorld, run

BORN = "select array_agg(born order by {0}) from {1} where {0} is not null"


def other_worker() -> None:
    """What comes next is done by a worker that has no plan yet, as in a deployment each step may be."""
    plans._recent.clear()
    plans._ahead.clear()


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


def causes(target: Query) -> list[str]:
    """What stood in the second run's way."""
    return [cause for (cause,) in target("select cause from hybrid_sync.run_failure where run_id = 'second'")]


def test_a_column_of_legacy_that_is_retyped_in_mid_run_costs_its_entity(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """A year of four bytes would be taken for a day of four bytes, by a worker that had planned with the column of
    before: it is not even read."""
    run(world, "first")
    born = target(BORN.format("legacy_id", "people"))
    legacy("update person set email = 'new' || id || '@example.org'")
    retype = "alter table person alter column born type int using extract(year from born)::int"
    with armed({"batch.claimed": Do(lambda: legacy(retype))}):
        assert run(world, "second", profile="daily", entities=("people",)).outcome.status == "failed"
    assert any("was given another type while the run was at work" in cause for cause in causes(target))
    assert target(BORN.format("legacy_id", "people")) == born
    legacy("alter table person alter column born type date using make_date(born, 1, 1)")
    other_worker()
    run(world, "third", profile="daily")
    assert target(BORN.format("legacy_id", "people")) == legacy(BORN.format("id", "person"))


def test_a_column_of_legacy_that_is_retyped_once_it_is_read_costs_its_entity(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """Whoever compares both sides would take the column for what it was."""
    run(world, "first")
    legacy("update person set email = 'new' || id || '@example.org'")
    retype = "alter table person alter column born type int using extract(year from born)::int"
    with armed({"batch.read": Do(lambda: legacy(retype))}):
        assert run(world, "second", profile="daily", entities=("people",)).outcome.status == "failed"
    assert any("was given another type while the run was at work" in cause for cause in causes(target))


NOTES = "select array_agg(note::text order by {0}) from {1} where {0} is not null"
PADDED = "alter table visit alter column note type char(40)"


def test_a_retyped_column_costs_its_entity_where_whoever_verifies_has_planned_with_the_column_of_now(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """As in a deployment, where carrying and verifying are two functions: both types fit, and mean other bytes."""
    run(world, "first")
    legacy("update visit set note = 'new ' || id")
    with armed({"batch.claimed": Do(lambda: legacy(PADDED)), "batch.committed": Do(other_worker)}):
        assert run(world, "second", profile="daily", entities=("visits",)).outcome.status == "failed"
    assert any("was given another type while the run was at work" in cause for cause in causes(target))
    run(world, "third", profile="daily")
    assert target(NOTES.format("legacy_id", "visits")) == legacy(NOTES.format("id", "visit"))


@dataclass
class Waiting:
    """Somebody changes legacy, and waits for a lock of ours, which the next statement lets go."""

    legacy: Query
    change: str

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        threading.Thread(target=self.legacy, args=(self.change,)).start()
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while self.legacy(waits) == [(0,)]:
            pass


@dataclass
class Then:
    """One action after the other."""

    first: Action
    second: Action

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.first.fire(name, connections)
        self.second.fire(name, connections)


def few(world: EngineWorld, entity: str = "people") -> SyncedKeys:
    """One changed row, in one function."""
    refs = (Ref(entity=entity, legacy_id=3),)
    return sync_keys(world, RunRequest(run_id="asked", profile="on_demand", refs=refs))


def test_a_few_keys_are_not_read_by_the_types_of_before(world: EngineWorld, legacy: Query, target: Query) -> None:
    """The whole flow takes them, which plans with those of now."""
    run(world, "first")
    before = target(NOTES.format("legacy_id", "visits"))
    legacy("update visit set note = 'new' where id = 3")
    with armed({"keys.opened": Waiting(legacy, PADDED)}):
        said = few(world, "visits")
    assert (said.whole, said.why) == (True, "structure_mismatch")
    assert target(NOTES.format("legacy_id", "visits")) == before
    assert said.request is not None
    assert run(world, "asked", profile="on_demand", refs=said.request.refs).outcome.status == "succeeded"
    assert target("select note from visits where legacy_id = 3") == legacy("select note::text from visit where id = 3")


@pytest.mark.parametrize("change", CHANGES)
def test_a_few_keys_are_not_written_to_a_table_that_is_changed_once_it_was_planned(
    world: EngineWorld, legacy: Query, target: Query, change: str
) -> None:
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")
    with armed({"keys.opened": Do(lambda: target(CHANGES[change]))}):
        said = few(world)
    assert (said.whole, said.why) == (True, "structure_mismatch")
    assert target("select count(*) from people where email = 'new@example.org'") == [(0,)]
    assert target("select count(*) from hybrid_sync.run where run_id = 'asked'") == [(0,)]


def test_a_delivery_that_comes_again_does_not_carry_a_few_keys_by_the_plan_of_the_first(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")
    with armed({"keys.written": Raise()}), pytest.raises(FailpointRaised):
        few(world)
    target(CHANGES["the table exchanged"])
    assert few(world).why == "structure_mismatch"
    said = few(world)
    assert said.outcome is not None and said.outcome.status == "succeeded"
    assert target("select email from people where legacy_id = 3") == [("new@example.org",)]


@pytest.mark.parametrize("again", [False, True])
def test_a_column_of_legacy_that_is_retyped_under_a_few_keys_fails_their_run(
    world: EngineWorld, legacy: Query, target: Query, again: bool
) -> None:
    """Also where the delivery dies after the commit, and another worker verifies what it has written."""
    run(world, "first")
    legacy("update visit set note = 'new' where id = 3")
    points: dict[str, Action] = {"keys.read": Waiting(legacy, PADDED)}
    if again:
        points["keys.committed"] = Raise()
        with armed(points), pytest.raises(FailpointRaised):
            few(world, "visits")
        other_worker()
        points = {}
    with armed(points), pytest.raises(StructureMismatch, match="was given another type while the run was at work"):
        few(world, "visits")
    other_worker()
    run(world, "third", profile="daily")
    assert target(NOTES.format("legacy_id", "visits")) == legacy(NOTES.format("id", "visit"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("again", [False, True])
def test_a_target_table_that_is_changed_under_a_few_keys_fails_their_run(
    world: EngineWorld, legacy: Query, target: Query, change: str, again: bool
) -> None:
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")
    points: dict[str, Action] = {"keys.committed": Do(lambda: target(CHANGES[change]))}
    if again:
        points["keys.committed"] = Then(points["keys.committed"], Raise())
        with armed(points), pytest.raises(FailpointRaised):
            few(world)
        other_worker()
        points = {}
    told = "does not fit" if again and change == "a column retyped" else "while the run was at work"
    with armed(points), pytest.raises(StructureMismatch, match=told):
        few(world)


def test_a_column_that_is_no_business_of_a_few_keys_does_not_fail_their_run(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update person set email = 'new@example.org' where id = 3")
    with armed({"keys.opened": Waiting(legacy, "alter table person add column seen int"),
                "keys.committed": Do(lambda: target("alter table people add column seen int"))}):  # fmt: skip
        said = few(world)
    assert said.outcome is not None and said.outcome.status == "succeeded"
