"""The same player on a bad day: any order, more than once, up to any point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hybrid_sync_cli.flow.data import StateError
from hybrid_sync_cli.flow.execution import Delivery, Execution
from hybrid_sync_cli.flow.play import Deliver, outcome
from hybrid_sync_cli.flow.play import raised as raised
from hybrid_sync_cli.flow.play import settle as settle


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
        settle(execution, delivery, [outcome(deliver, delivery) for _ in range(times(delivery))][-1])
    return execution


def died() -> StateError:
    """A worker's process has ended before its answer."""
    return raised("Runtime.ExitError", "Runtime exited with error: exit status 1")
