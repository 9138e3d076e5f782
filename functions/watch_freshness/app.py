"""Once a day: how long ago a weekly run has verified everything; keep the id secret apart, and copy the audit trail."""

from __future__ import annotations

from aws_lambda_powertools.metrics import MetricUnit

from hybrid_sync.entrypoint import metrics
from hybrid_sync.steps.watch_freshness import Freshness, Tick, watch_freshness
from hybrid_sync.wiring import function, keep_id_secret
from hybrid_sync.wiring import world as deployed
from hybrid_sync.world import World


def _measure(world: World, tick: Tick) -> Freshness:
    """An alarm stands on the metric."""
    keep_id_secret()
    found = watch_freshness(world)
    metrics.add_metric("DaysSinceVerifiedWeekly", MetricUnit.Count, found.days)
    deployed().copy_audit()
    return found


handler = function(Tick, _measure)
