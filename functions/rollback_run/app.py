"""Undo a run, or do with a failed one what its request asks for."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackOutcome, RollbackTask
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(RollbackTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: RollbackTask) -> RollbackOutcome:
    return app().rollback_run(task)
