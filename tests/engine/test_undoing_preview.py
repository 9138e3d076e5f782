"""A rollback's preview says what the rollback then does: rows back, rows gone, rows that others have changed since."""

from __future__ import annotations

from typing import cast

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.views.undoing import undoing
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def test_a_preview_counts_what_the_rollback_then_does(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    legacy("update person set born = born + 1 where id <= 3")
    legacy("insert into clinic (name, country) values ('West', 'US')")
    run(world, "second")
    target("update people set born = '1999-01-01' where legacy_id = 2")

    seen = {one.entity: one for one in undoing(cast(Desk, world), "second").entities}
    task = RollbackTask(run_id="second")
    while (outcome := rollback_run(world, task)).more:
        task = task.model_copy(update={"rollback_id": outcome.rollback_id})
    undone = outcome.undone.model_dump()

    assert seen["people"].conflicts == 1
    assert sum(one.conflicts for one in seen.values()) == sum(undone["conflicts"].values())
    assert sum(one.deleted for one in seen.values()) == undone["deleted"]
    assert set(outcome.held) == set(seen)
