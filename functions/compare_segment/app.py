"""Compare one key range of an entity on both sides by checksum."""

from __future__ import annotations

from hybrid_sync.contracts import ComparedSegment, SegmentTask
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(SegmentTask, record_peak=lambda **peak: app().record_worker(**peak))
def handler(task: SegmentTask) -> ComparedSegment:
    return app().compare_segment(task)
