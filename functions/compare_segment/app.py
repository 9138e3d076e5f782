"""Compare one key range of an entity on both sides by checksum."""

from __future__ import annotations

from hybrid_sync.contracts import SegmentTask
from hybrid_sync.steps.compare_segment import compare_segment
from hybrid_sync.wiring import function

handler = function(SegmentTask, compare_segment)
