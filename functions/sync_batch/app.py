"""Carry one batch over, in one transaction of the target."""

from __future__ import annotations

from hybrid_sync.contracts import BatchResult, BatchTask
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(BatchTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: BatchTask) -> BatchResult:
    return app().sync_batch(task)
