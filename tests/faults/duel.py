"""A duel: several runs want the same rows at the same moment, while these rows change.

What two weekly runs do to each other once in a thousand times, it does nearly every time: batches of different runs
over the same keys start together, and some are held between their read and their write.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hybrid_sync.contracts import BatchTask, EntityTask, PlannedRun, ReportRequest, RunRequest
from hybrid_sync.failpoints import Action, Stall
from tests.faults.cloud import StoredManifests
from tests.faults.driver import Deliveries
from tests.faults.worker import Order

_HELD_AT = ("batch.claimed", "batch.read", "batch.mapped")
_LONGEST = 0.08
_EVERY = 0.004


class Duel:
    """Conducts several runs side by side, entity by entity; without other faults."""

    def __init__(self, deliveries: Deliveries, manifests: StoredManifests, luck: random.Random) -> None:
        self._deliveries = deliveries
        self._manifests = manifests
        self._luck = luck

    def run(self, requests: Sequence[RunRequest], change: Callable[[], None]) -> None:
        """`change` is called over and over while batches are under way, to change the rows that the runs fight for."""
        planned = [self._deliveries.now(Order("plan_run", request)) for request in requests]
        plans: list[PlannedRun] = [reply.result for reply in planned if reply.result is not None]
        for entity in dict.fromkeys(task.entity for plan in plans for task in plan.entities):
            batches: list[BatchTask] = []
            for plan in plans:
                if any(task.entity == entity for task in plan.entities):
                    batches += self._plan(EntityTask(run_id=plan.run_id, entity=entity))
            self._luck.shuffle(batches)
            with _again_and_again(change):
                self._deliveries.many(Order("sync_batch", batch, self._held()) for batch in batches)
        for plan in plans:
            self._deliveries.now(Order("report_run", ReportRequest(run_id=plan.run_id)))

    def _plan(self, task: EntityTask) -> list[BatchTask]:
        self._deliveries.now(Order("plan_entity", task))
        return self._manifests.read(task.run_id, task.entity) or []

    def _held(self) -> dict[str, Action]:
        if self._luck.random() < 0.4:
            return {}
        return {self._luck.choice(_HELD_AT): Stall(self._luck.uniform(0, _LONGEST))}


@contextmanager
def _again_and_again(change: Callable[[], None]) -> Iterator[None]:
    """Call `change` every few milliseconds until the block ends."""
    ended = threading.Event()

    def keep_changing() -> None:
        while not ended.wait(_EVERY):
            change()

    with ThreadPoolExecutor(1) as beside:
        changing = beside.submit(keep_changing)
        try:
            yield
        finally:
            ended.set()
        changing.result()
