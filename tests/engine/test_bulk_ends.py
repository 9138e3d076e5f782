"""The end of a first load in bulk: beside the next wave, where nothing that the wave carries is tied to it."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.contracts import EntityTask, RunRequest, SettleTask
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.settle_uniques import settle_uniques
from hybrid_sync.transitions import led_to
from hybrid_sync_cli.flow.execution import Delivery
from tests.engine.bulk import LEFT, Look
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, execution, run
from tests.flow.conduct import conduct
from tests.flow.functions import Functions, Steps

LEGACY = """
create table logs (id int primary key, size int);
create table owners (id int primary key);
create table roles (id int primary key);
create table pins (id int primary key, owner_id int, role_id int);
insert into logs select n, n from generate_series(1, 400) n;
insert into owners select n from generate_series(1, 40) n;
insert into roles select n from generate_series(1, 4) n;
insert into pins select n, 1 + n % 40, 1 + n % 4 from generate_series(1, 90) n;
"""
TARGET = """
create table logs (id uuid primary key, legacy_id int unique, size int);
create index on logs (size);
create table owners (id uuid primary key, legacy_id int unique);
create table roles (id uuid primary key, legacy_id int unique);
create table pins (id uuid primary key, legacy_id int unique,
  owner_id uuid not null references owners, role_id uuid not null references roles);
"""
OPEN = "select entity from hybrid_sync.bulk_table where run_id is not null order by 1"
MADE = "select count(*)::int from pg_index where indrelid in ('logs'::regclass, 'pins'::regclass)"


@pytest.fixture(name="world")
def the_world(legacy_db: str, target_db: str) -> EngineWorld:
    referring = {name: {"to": to, "key": f"a.{name}"} for name, to in (("owner_id", "owners"), ("role_id", "roles"))}
    entities = (
        entity("logs", columns={"size": "a.size"}), entity("owners"), entity("roles"),
        entity("pins", references=referring),
    )  # fmt: skip
    return small_world(legacy_db, target_db, LEGACY, TARGET, *({**one, "first_load": "bulk"} for one in entities))


@pytest.fixture(name="target")
def the_target(target_db: str, world: EngineWorld) -> Query:
    return _runner(target_db)


class Counting(Functions):
    """Functions that count states as their usage does: their own task, and those that follow from the answer."""

    transitions = 0

    def __call__(self, delivery: Delivery) -> Any:
        said = super().__call__(delivery)
        given, answer = self.answers[-1]
        self.transitions += 1 + led_to(delivery.function, given, answer)
        return said


def test_a_load_that_nobody_waits_for_ends_when_the_next_wave_has_begun(world: EngineWorld, target: Query) -> None:
    first = Look(lambda: target(OPEN))
    with armed({"bulk.ended": first}):
        done = run(world, "first")
    assert done.outcome.status == "succeeded"
    assert [[(task.entity, task.portion) for task in wave] for wave in done.plan.waves] == [
        [("logs", "rows"), ("owners", "whole"), ("roles", "whole")],
        [("logs", "end"), ("pins", "whole")],
    ]
    assert first.seen == [("logs",), ("pins",), ("roles",)], "the owners' load has ended, and the logs' came before it"
    assert (target(LEFT), target(MADE)) == ([(0,)], [(5,)])


def test_each_state_that_an_end_leads_through_is_counted(world: EngineWorld) -> None:
    functions = Counting(Steps(world))
    played = conduct(execution(world, "first"), functions)
    assert played.status == "SUCCEEDED"
    assert functions.transitions == len(played.trace)


def test_rows_and_end_of_a_load_are_two_tasks(world: EngineWorld, target: Query) -> None:
    plan_run(world, RunRequest(run_id="first"))
    settle_uniques(world, SettleTask(run_id="first", entity="logs", portion="rows"))
    assert ("logs",) in target(OPEN)
    end = plan_entity(world, EntityTask(run_id="first", entity="logs", portion="end"))
    assert (end.portion, end.batches) == ("end", 0)
    assert world.manifests.read("first", "logs") is None, "its batches are for the task of its rows to plan"
    settle_uniques(world, SettleTask(run_id="first", entity="logs", portion=end.portion))
    assert ("logs",) not in target(OPEN)


def test_a_plan_that_is_asked_for_again_ends_the_same_loads_there(world: EngineWorld) -> None:
    request = RunRequest(run_id="first")
    with armed({"bulk.begun": Raise()}), pytest.raises(FailpointRaised):
        plan_run(world, request)
    assert plan_run(world, request) == plan_run(world, request)
    assert plan_run(world, request).waves[1][0].portion == "end"


def test_tables_in_use_have_no_end_of_their_own(world: EngineWorld) -> None:
    run(world, "first")
    second = run(world, "second")
    assert {task.portion for wave in second.plan.waves for task in wave} == {"whole"}
