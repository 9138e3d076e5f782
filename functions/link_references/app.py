"""Link the references that close a cycle."""

from __future__ import annotations

from hybrid_sync.contracts import LinkResult, LinkTask
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(LinkTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: LinkTask) -> LinkResult:
    return app().link_references(task)
