"""Turn a failed state into a record of the run."""

from __future__ import annotations

from hybrid_sync.contracts import RunFailure
from hybrid_sync.steps.record_failure import record_failure
from hybrid_sync.wiring import function

handler = function(RunFailure, record_failure)
