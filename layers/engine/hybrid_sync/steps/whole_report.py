"""What the report of a whole run has besides: where its time went, service levels, the month's cost, metrics.

A rollback, a retry and a few keys report without it, or when their rows are there; who reports whole runs loads it
first.
"""

from __future__ import annotations

from hybrid_sync.measures import of_run
from hybrid_sync.report.levels import ask_levels
from hybrid_sync.report.page import prepare
from hybrid_sync.services.priced import ask_month
from hybrid_sync.tuning.performance import AskedPerformance

__all__ = ["AskedPerformance", "ask_levels", "ask_month", "of_run", "prepare"]
