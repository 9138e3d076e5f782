"""Read failed records again from legacy, and write them."""

from __future__ import annotations

from hybrid_sync.consumer import each_message
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.errors import RecordsStillFail
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.wiring import record_call, world


def _postpone(receipt_handle: str, receive_count: int) -> None:
    world().failure_queue.postpone(receipt_handle, receive_count)


def _put_off(message: FailureMessage) -> None:
    world().failure_queue.put_off(message)


def _hold_back(message: FailureMessage) -> str:
    """While starts are paused nothing is read: legacy may just be a restore's, half done."""
    paused = world().starts_paused()
    if paused:
        world().failure_queue.hold_back(message)
    return paused and "starts are paused"


@each_message(FailureMessage, postpone=_postpone, put_off=_put_off, hold_back=_hold_back, record_call=record_call)
def handler(message: FailureMessage) -> None:
    """A message stays in the queue until each of its records is resolved, or three attempts have failed."""
    with world().seeing_corrections():
        failed = retry_failure(world(), message).failed
    if failed:
        raise RecordsStillFail(f"{failed} records failed again.")
