"""Prove that an entity's rows and money add up, then move its fence on."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask, EntityVerdict
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(EntityTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: EntityTask) -> EntityVerdict:
    return app().verify_entity(task)
