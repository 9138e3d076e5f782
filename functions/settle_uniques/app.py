"""Settle unique values that moved between rows of different batches."""

from __future__ import annotations

from hybrid_sync.contracts import SettleTask
from hybrid_sync.steps.settle_uniques import settle_uniques
from hybrid_sync.wiring import function

handler = function(SettleTask, settle_uniques)
