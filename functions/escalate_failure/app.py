"""Hand failed records that no retry could save to a person."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_sync.consumer import all_messages
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.wiring import app


@all_messages(FailureMessage, record_peak=lambda **peak: app().record_worker(**peak))
def handler(messages: Sequence[FailureMessage]) -> None:
    app().escalate_failure(messages)
