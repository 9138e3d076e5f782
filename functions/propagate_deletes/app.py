"""Delete or mark what legacy no longer has."""

from __future__ import annotations

from hybrid_sync.contracts import DeleteResult, DeleteTask
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(DeleteTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: DeleteTask) -> DeleteResult:
    return app().propagate_deletes(task)
