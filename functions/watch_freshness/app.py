"""Once a day: how the deployment is, as metrics; keep the id secret apart, and copy the audit trail."""

from __future__ import annotations

from hybrid_sync.entrypoint import logger, measure
from hybrid_sync.steps.watch_freshness import Freshness, Tick, watch_freshness
from hybrid_sync.wiring import function, keep_id_secret
from hybrid_sync.wiring import world as deployed
from hybrid_sync.world import World

ALARMED = "DaysSinceVerifiedWeekly"


def _measure(world: World, tick: Tick) -> Freshness:
    """An alarm stands on how long ago a weekly run has verified everything."""
    from hybrid_sync.services.levels import note_today  # with much that no cold start needs

    keep_id_secret()
    found = watch_freshness(world)
    measure({ALARMED: found.days})  # first of all, whatever stands in the way of the rest
    measure({name: value for name, value in deployed().measured_today().items() if name != ALARMED})
    deployed().copy_audit()
    if said := note_today(deployed()):
        logger.warning("answers of the API not counted", extra={"error": said})
    return found


handler = function(Tick, _measure)
