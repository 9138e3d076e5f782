"""Whoever plays Step Functions: delivers what is due, one after the other, and says what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hybrid_sync_cli.flow.data import StateError
from hybrid_sync_cli.flow.execution import Delivery, Execution

Deliver = Callable[[Delivery], Any]
"""The function's answer as JSON; StateError when the invocation fails."""


def play(execution: Execution, deliver: Deliver) -> Execution:
    """From where it stands to its end, in the order of the items."""
    while execution.ready:
        settle(execution, execution.ready[0], outcome(deliver, execution.ready[0]))
    return execution


def outcome(deliver: Deliver, delivery: Delivery) -> Any:
    """The answer, or what has failed."""
    try:
        return deliver(delivery)
    except StateError as failed:
        return failed


def settle(execution: Execution, delivery: Delivery, came_of_it: Any) -> None:
    """What came of a delivery; a StateError is a failure."""
    if isinstance(came_of_it, StateError):
        execution.fail(delivery, came_of_it)
    else:
        execution.answer(delivery, came_of_it)


def raised(name: str, message: str) -> StateError:
    """What Step Functions makes of an exception of a function: its class, and Lambda's JSON."""
    return StateError(name, json.dumps({"errorMessage": message, "errorType": name}))
