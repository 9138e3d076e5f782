"""Prove that an entity's rows and money add up, then move its fence on."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask
from hybrid_sync.steps.verify_entity import verify_entity
from hybrid_sync.wiring import function

handler = function(EntityTask, verify_entity)
