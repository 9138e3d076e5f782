"""Look again at every key that seems to differ, and plan the batches that heal."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask
from hybrid_sync.steps.confirm_differences import confirm_differences
from hybrid_sync.wiring import function

handler = function(EntityTask, confirm_differences)
