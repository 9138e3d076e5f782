"""Read failed records again from legacy, and write them."""

from __future__ import annotations

from hybrid_sync.consumer import each_message
from hybrid_sync.contracts import BatchResult, FailureMessage
from hybrid_sync.wiring import app


@each_message(
    FailureMessage,
    postpone=lambda receipt, count: app().postpone(receipt, count),
    record_peak=lambda **peak: app().record_worker(**peak),
)
def handler(message: FailureMessage) -> BatchResult:
    return app().retry_failure(message)
