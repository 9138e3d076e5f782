"""Find an entity's changed keys and cut them into batches."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask, PlannedEntity
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(EntityTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: EntityTask) -> PlannedEntity:
    return app().plan_entity(task)
