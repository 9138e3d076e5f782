"""Whoever plays Step Functions: delivers what is due, in any order, more than once, up to any point."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.flow.data import StateError
from tests.flow.execution import Delivery, Execution

Deliver = Callable[[Delivery], Any]
"""The function's answer as JSON; StateError when the invocation fails."""


def conduct(
    execution: Execution,
    deliver: Deliver,
    *,
    choose: Callable[[Sequence[Delivery]], Delivery] = lambda ready: ready[0],
    times: Callable[[Delivery], int] = lambda delivery: 1,
    until: Callable[[Delivery], bool] = lambda delivery: False,
) -> Execution:
    """Deliver until the execution ends, or `until` the delivery that would come next: conduct again to go on.

    `choose` orders what is due at the same time.  A delivery that comes several `times` counts with its last answer.
    """
    while execution.ready:
        delivery = choose(execution.ready)
        if until(delivery):
            break
        settle(execution, delivery, [_outcome(deliver, delivery) for _ in range(times(delivery))][-1])
    return execution


def settle(execution: Execution, delivery: Delivery, outcome: Any) -> None:
    """What came of a delivery; a StateError is a failure."""
    if isinstance(outcome, StateError):
        execution.fail(delivery, outcome)
    else:
        execution.answer(delivery, outcome)


def raised(name: str, message: str) -> StateError:
    """What Step Functions makes of an exception of a function: its class, and Lambda's JSON."""
    return StateError(name, json.dumps({"errorMessage": message, "errorType": name}))


def died() -> StateError:
    """A worker's process has ended before its answer."""
    return raised("Runtime.ExitError", "Runtime exited with error: exit status 1")


def _outcome(deliver: Deliver, delivery: Delivery) -> Any:
    try:
        return deliver(delivery)
    except StateError as failed:
        return failed
