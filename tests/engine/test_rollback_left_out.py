"""A run is undone although the catalog has lost an entity, or a source, that it wrote to; what is lost is named."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.undoing import RollbackAsked
from hybrid_sync.services.rollback import preview
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table a (id int primary key, n int);
create table b (id int primary key, n int);
insert into a select i, i from generate_series(1, 3) i;
insert into b select i, i from generate_series(1, 3) i;
"""
TARGET = """
create table a (id uuid primary key, legacy_id int unique, n int);
create table b (id uuid primary key, legacy_id int unique, n int);
"""


def _catalog(*names: str, source: str = "b") -> Catalog:
    found: dict[str, Any] = {name: entity(name, columns={"n": "a.n"}) for name in names}
    if source != "b":  # of other rows, as far as anybody can tell
        found["b"]["sources"] = {source: {**found["b"]["sources"].pop("b"), "key": {"legacy_id": "a.id + 0"}}}
    return Catalog({name: Entity.model_validate(one) for name, one in found.items()})


def _with(world: EngineWorld, catalog: Catalog) -> EngineWorld:
    changed = copy.copy(world)
    changed.catalog = catalog
    return changed


def _undo(world: EngineWorld) -> RollbackOutcome:
    outcome = rollback_run(world, RollbackTask(run_id="second"))
    while outcome.more:
        outcome = rollback_run(world, RollbackTask(run_id="second", rollback_id=outcome.rollback_id))
    return outcome


def _numbers(target: Query) -> list[tuple[Any, ...]]:
    return target("select array_agg(n order by legacy_id), (select array_agg(n order by legacy_id) from b) from a")


@pytest.mark.parametrize(
    ("catalog", "what"), [(_catalog("a"), "no entity b"), (_catalog("a", "b", source="c"), "no source b in b")]
)
def test_what_the_catalog_has_lost_is_named_and_the_rest_is_undone(
    legacy_db: str, target_db: str, catalog: Catalog, what: str
) -> None:
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *(entity(n, columns={"n": "a.n"}) for n in ("a", "b")))
    legacy, target = _runner(legacy_db), _runner(target_db)
    run(world, "first")
    legacy("update a set n = -n; update b set n = -n")
    run(world, "second")

    assert preview(cast(Desk, _with(world, catalog)), RollbackAsked(run_id="second")).lost == ("b",)
    assert preview(cast(Desk, world), RollbackAsked(run_id="second")).lost == ()
    outcome = _undo(_with(world, catalog))
    assert (outcome.failed, outcome.held) == (("b",), ("a", "b"))
    assert _numbers(target) == [([1, 2, 3], [-1, -2, -3])]
    [failure] = world.reports.documents[outcome.rollback_id]["failures"]
    assert failure["entity"] == "b"
    assert f"the catalog has {what} any more" in failure["cause"]
    assert "Not undone: b" in world.alerts.published[-1][1]

    assert _undo(world).failed == (), "with the catalog of then it is undone as a whole"
    assert _numbers(target) == [([1, 2, 3], [1, 2, 3])]
    target("update hybrid_sync.entity_state set held = false")
    assert run(world, "third").outcome.status == "succeeded"
    assert _numbers(target) == [([-1, -2, -3], [-1, -2, -3])]
