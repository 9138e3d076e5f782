"""Find an entity's changed keys and cut them into batches."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.wiring import function

handler = function(EntityTask, plan_entity)
