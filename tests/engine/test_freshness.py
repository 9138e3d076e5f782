"""The slow clock: how long ago a weekly run has verified everything."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.watch_freshness import watch_freshness
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def test_days_count_from_the_last_weekly_run_that_verified_everything(world: EngineWorld, target: Query) -> None:
    target("update hybrid_sync.migration set applied_at = applied_at - interval '20 days'")
    assert round(watch_freshness(world).days) == 20
    run(world, "daily", profile="daily")
    assert round(watch_freshness(world).days) == 20
    run(world, "weekly", profile="weekly")
    assert round(watch_freshness(world).days) == 0
    target("update hybrid_sync.run set finished_at = finished_at - interval '9 days' where run_id = 'weekly'")
    run(world, "broken", profile="weekly")
    target("update hybrid_sync.run set status = 'failed' where run_id = 'broken'")
    assert round(watch_freshness(world).days) == 9


def test_a_weekly_run_of_a_part_or_one_that_was_undone_has_not_verified_everything(
    world: EngineWorld, target: Query
) -> None:
    target("update hybrid_sync.migration set applied_at = applied_at - interval '20 days'")
    run(world, "one-entity", profile="weekly", entities=("clinics",))
    assert round(watch_freshness(world).days) == 20
    run(world, "weekly", profile="weekly")
    assert round(watch_freshness(world).days) == 0
    rollback_run(world, RollbackTask(run_id="weekly"))
    assert round(watch_freshness(world).days) == 20
