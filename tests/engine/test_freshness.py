"""The slow clock: how long ago a weekly run has verified everything."""

from __future__ import annotations

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
