"""Undo a run, or do with a failed one what its request asks for."""

from __future__ import annotations

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.wiring import function

handler = function(RollbackTask, rollback_run)
