"""Look again at what was healed."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask
from hybrid_sync.steps.recheck_entity import recheck_entity
from hybrid_sync.wiring import function

handler = function(EntityTask, recheck_entity)
