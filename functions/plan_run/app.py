"""Save the fence, order the entities into waves."""

from __future__ import annotations

from hybrid_sync.contracts import PlannedRun, StartedRun
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.wiring import function
from hybrid_sync.world import World


def _plan(world: World, started: StartedRun) -> PlannedRun:
    """The execution's name is the run id, whatever the request says."""
    return plan_run(world, started.request.model_copy(update={"run_id": started.run_id}))


handler = function(StartedRun, _plan)
