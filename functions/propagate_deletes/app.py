"""Delete or mark what legacy no longer has."""

from __future__ import annotations

from hybrid_sync.contracts import DeleteTask
from hybrid_sync.steps.propagate_deletes import propagate_deletes
from hybrid_sync.wiring import function

handler = function(DeleteTask, propagate_deletes)
