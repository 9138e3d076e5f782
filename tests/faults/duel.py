"""A duel: several runs want the same rows at the same moment, while these rows change.

What two weekly runs do to each other once in a thousand times, it does nearly every time: batches of different runs
over the same keys start together, and some are held between their read and their write.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hybrid_sync.contracts import RunRequest
from hybrid_sync.failpoints import Action, Stall
from hybrid_sync_cli.flow.execution import Delivery, Execution
from tests.faults.beside import again_and_again
from tests.faults.cloud import StoredManifests
from tests.faults.driver import Deliveries, outcome, started
from tests.faults.worker import Order, Reply
from tests.flow.conduct import settle
from tests.flow.functions import payload_of

_HELD_AT = {
    "sync_batch": ("batch.claimed", "batch.read", "batch.mapped"),
    "sync_keys": ("keys.opened", "keys.read", "keys.written"),
}
"""What the runs fight in, and where one of them may be held."""
_LONGEST = 0.08


class Duel:
    """Plays Step Functions for several runs that wait for each other at their batches; without other faults."""

    def __init__(self, deliveries: Deliveries, manifests: StoredManifests, luck: random.Random) -> None:
        self._deliveries = deliveries
        self._manifests = manifests
        self._luck = luck

    def run(self, requests: Sequence[RunRequest], change: Callable[[], None]) -> None:
        """`change` is called over and over while batches are under way, to change the rows that the runs fight for."""
        executions = [started(request, self._manifests, lambda place, items: range(items)) for request in requests]
        while due := [(execution, delivery) for execution in executions for delivery in execution.ready]:
            early = [pair for pair in due if pair[1].function not in _HELD_AT]
            if early:
                _, delivery = early[0]
                self._settle(early[:1], [self._deliveries.now(Order(delivery.function, payload_of(delivery)))])
                continue
            # Every run has come to its rows.
            self._luck.shuffle(due)
            orders = [
                Order(delivery.function, payload_of(delivery), self._held(delivery.function)) for _, delivery in due
            ]
            with again_and_again(change):
                replies = self._deliveries.many(orders)
            self._settle(due, replies)

    def _settle(self, due: list[tuple[Execution, Delivery]], replies: list[Reply]) -> None:
        for (execution, delivery), reply in zip(due, replies, strict=True):
            settle(execution, delivery, outcome(reply))

    def _held(self, function: str) -> dict[str, Action]:
        if self._luck.random() < 0.4:
            return {}
        return {self._luck.choice(_HELD_AT[function]): Stall(self._luck.uniform(0, _LONGEST))}
