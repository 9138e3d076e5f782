"""Settle unique values that moved between rows of different batches."""

from __future__ import annotations

from hybrid_sync.contracts import SettleResult, SettleTask
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(SettleTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: SettleTask) -> SettleResult:
    return app().settle_uniques(task)
