"""An undo puts values back into the columns that they came from, whatever those are called by then."""

from __future__ import annotations

import copy

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Profile, Ref, RollbackTask, RunRequest
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_keys import sync_keys
from tests.engine.conftest import _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table things (id int primary key, n int, m int);
insert into things select i, i, -i from generate_series(1, 5) i;
"""
TARGET = "create table things (id uuid primary key, legacy_id int unique, n int, m int);"
COLUMNS = {"n": "a.n", "m": "a.m"}
GONE = {"policy": "hard"}


@pytest.fixture(name="things")
def the_world(legacy_db: str, target_db: str) -> EngineWorld:
    return small_world(legacy_db, target_db, LEGACY, TARGET, entity("things", columns=COLUMNS, on_delete=GONE))


def _with(world: EngineWorld, columns: dict[str, str]) -> EngineWorld:
    """The same world after somebody has brought the catalog up to date."""
    renamed = copy.copy(world)
    renamed.catalog = Catalog({"things": Entity.model_validate(entity("things", columns=columns, on_delete=GONE))})
    return renamed


def _undo(world: EngineWorld, run_id: str) -> None:
    outcome = rollback_run(world, RollbackTask(run_id=run_id))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id=run_id, rollback_id=outcome.rollback_id))
    assert (outcome.failed, outcome.undone.conflicts) == ((), {})


def _changed(world: EngineWorld, legacy_db: str) -> None:
    run(world, "first")
    _runner(legacy_db)("update things set n = n * 10, m = m * 10; delete from things where id = 5")
    run(world, "second")


EXCHANGE = "alter table things rename n to x; alter table things rename m to n; alter table things rename x to m"


def test_columns_that_exchanged_their_names(things: EngineWorld, legacy_db: str, target_db: str) -> None:
    _changed(things, legacy_db)
    target = _runner(target_db)
    target(EXCHANGE)
    _undo(things, "second")
    assert target("select legacy_id, m, n from things order by 1") == [(i, i, -i) for i in range(1, 6)]


def test_a_column_that_has_another_name_in_table_and_catalog(
    things: EngineWorld, legacy_db: str, target_db: str
) -> None:
    _changed(things, legacy_db)
    target = _runner(target_db)
    target("alter table things rename n to amount")
    _undo(_with(things, {"amount": "a.n", "m": "a.m"}), "second")
    assert target("select legacy_id, amount, m from things order by 1") == [(i, i, -i) for i in range(1, 6)]


def test_a_new_column_of_a_dropped_ones_name_keeps_what_is_in_it(
    things: EngineWorld, legacy_db: str, target_db: str
) -> None:
    _changed(things, legacy_db)
    target = _runner(target_db)
    target("alter table things drop n; alter table things add n int default 7")
    _undo(things, "second")
    assert target("select legacy_id, n, m from things order by 1") == [(i, 7, -i) for i in range(1, 6)]


def test_a_column_that_took_a_dropped_ones_name(things: EngineWorld, legacy_db: str, target_db: str) -> None:
    _changed(things, legacy_db)
    target = _runner(target_db)
    target("alter table things drop n; alter table things rename m to n")
    _undo(_with(things, {"n": "a.m"}), "second")
    assert target("select legacy_id, n from things order by 1") == [(i, -i) for i in range(1, 6)]


def test_a_run_of_a_few_keys(things: EngineWorld, legacy_db: str, target_db: str) -> None:
    run(things, "first")
    _runner(legacy_db)("update things set n = 30 where id = 3")
    few = RunRequest(run_id="few", profile=Profile.on_demand, refs=(Ref(entity="things", legacy_id=3),))
    assert not sync_keys(things, few).whole
    target = _runner(target_db)
    target(EXCHANGE)
    _undo(things, "few")
    assert target("select legacy_id, m, n from things order by 1") == [(i, i, -i) for i in range(1, 6)]


def test_an_undo_that_is_undone(things: EngineWorld, legacy_db: str, target_db: str) -> None:
    _changed(things, legacy_db)
    target = _runner(target_db)
    target("alter table things rename n to amount")
    renamed = _with(things, {"amount": "a.n", "m": "a.m"})
    outcome = rollback_run(renamed, RollbackTask(run_id="second"))
    assert outcome.rollback_id is not None
    target("alter table things rename amount to total")
    _undo(_with(things, {"total": "a.n", "m": "a.m"}), outcome.rollback_id)
    assert target("select legacy_id, total, m from things order by 1") == [(i, 10 * i, -10 * i) for i in range(1, 5)], (
        "without the row that was gone"
    )
