"""Hand failed records that no retry could save to a person."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_sync.consumer import all_messages
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.entrypoint import measure
from hybrid_sync.steps.escalate_failure import escalate_failure
from hybrid_sync.wiring import record_call, world


@all_messages(FailureMessage, record_call=record_call)
def handler(messages: Sequence[FailureMessage], junk: int) -> None:
    measure({"Escalated": escalate_failure(world(), messages, junk)})
