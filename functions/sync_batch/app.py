"""Carry one batch over, in one transaction of the target."""

from __future__ import annotations

from hybrid_sync.contracts import BatchTask
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.wiring import function

handler = function(BatchTask, sync_batch)
