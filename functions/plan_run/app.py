"""Save the fence, order the entities into waves."""

from __future__ import annotations

from hybrid_sync.contracts import PlannedRun, StartedRun
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(StartedRun, record_peak=lambda **peak: app().record_worker(**peak))
def handler(started: StartedRun) -> PlannedRun:
    return app().plan_run(started)
