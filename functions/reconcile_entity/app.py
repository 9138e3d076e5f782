"""Compare an entity on both sides by checksum, or cut it into segments to compare side by side."""

from __future__ import annotations

from hybrid_sync.contracts import EntityTask, ReconciledEntity
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(EntityTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: EntityTask) -> ReconciledEntity:
    return app().reconcile_entity(task)
