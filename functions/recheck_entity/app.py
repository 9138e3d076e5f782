"""Look again at what was healed."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask, RecheckedEntity
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(EntityTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: EntityTask) -> RecheckedEntity:
    return app().recheck_entity(task)
