"""Compare an entity on both sides by checksum, or cut it into segments to compare side by side."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask
from hybrid_sync.steps.reconcile_entity import reconcile_entity
from hybrid_sync.wiring import function

handler = function(EntityTask, reconcile_entity)
