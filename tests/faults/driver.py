"""One run as the state machine conducts it, on a bad day: retries, doubled, reordered and late deliveries, aborts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from hybrid_sync.contracts import (
    BatchTask,
    FailureMessage,
    RollbackOutcome,
    RollbackTask,
    RunOutcome,
    RunRequest,
    SyncedKeys,
)
from hybrid_sync.failpoints import Action
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Delivery, Execution, StatePath
from tests.faults.cloud import StoredManifests
from tests.faults.faultplan import ERASING, ERASING_AGAIN, FaultPlan
from tests.faults.pool import Pool
from tests.faults.worker import CRASHED, DIED, Order, Reply
from tests.flow.conduct import died, raised, settle
from tests.flow.functions import payload_of

RETRIES = 3
_KEPT = 40
_MANY = {"sync_batch", "compare_segment"}
"""The functions of distributed maps."""
_ABORTED = {"PlanEntity": 0.01, "ReportRun": 0.02}
"""At which states a run is aborted, and how often."""
_ABORTED_NEW = {"PlanEntity": 0.03, "SyncBatch": 0.02, "SettleUniques": 0.08, "LinkReferences": 0.08, "ReportRun": 0.08}
"""The same on a day of first loads."""


class Deliveries:
    """Every delivery of a step, those beside the runs too; `beat` is told of each."""

    def __init__(self, pool: Pool, beat: Callable[[], None]) -> None:
        self._pool = pool
        self._beat = beat
        self._threads = ThreadPoolExecutor(8)
        self._late: list[Future[Reply]] = []
        self.old: list[BatchTask] = []
        self.defects: list[str] = []

    def now(self, order: Order) -> Reply:
        """Deliver and wait for the answer."""
        self._beat()
        reply = self._pool.call(order)
        if reply.error and not reply.transient and reply.text.startswith("Traceback"):
            # An error without a name of ours, that no fault explains.
            self.defects.append(f"{order.step}: {reply.text}")
        elif reply.error == DIED:
            self.defects.append(reply.text)
        return reply

    def many(self, orders: Iterable[Order]) -> list[Reply]:
        """Deliver side by side, and wait for all."""
        return [future.result() for future in [self._threads.submit(self.now, order) for order in orders]]

    def late(self, order: Order) -> None:
        """Deliver, and let nobody wait."""
        self._late.append(self._threads.submit(self.now, order))

    def remember(self, batch: BatchTask) -> None:
        self.old = [*self.old, batch][-_KEPT:]

    def settle(self) -> None:
        """Return when nothing is under way any more."""
        wait(self._late)
        for future in self._late:
            future.result()
        self._late.clear()

    def close(self) -> None:
        self._threads.shutdown()


class Driver:
    """Plays Step Functions for one run; without faults it is an ordinary run."""

    def __init__(
        self, deliveries: Deliveries, manifests: StoredManifests, luck: random.Random, faults: FaultPlan | None,
        *, new: bool = False,
    ) -> None:  # fmt: skip
        self._deliveries = deliveries
        self._manifests = manifests
        self._luck = luck
        self._faults = faults
        self._aborts = _ABORTED_NEW if new else _ABORTED
        self.run_id = ""
        self.status = "lost"
        self.doubled = 0
        self.zombies = 0

    def run(self, request: RunRequest) -> None:
        """From the request to the end; some runs are aborted on the way, and nobody reports them."""
        self.run_id = request.run_id
        execution = started(request, self._manifests, self._shuffled)
        while execution.ready:
            due = self._side_by_side(execution)
            if any(self._chance(self._aborts.get(delivery.state, 0.0)) for delivery in due):
                execution.abort()
                return
            for delivery, reply in zip(due, self._deliver(due), strict=True):
                ended = reply.result.outcome if isinstance(reply.result, SyncedKeys) else reply.result
                if isinstance(ended, RunOutcome):
                    self.status = ended.status
                settle(execution, delivery, outcome(reply))

    def roll_back(self, run_id: str) -> bool:
        """Undo the run, call after call; False where something stands in the way."""
        task = RollbackTask(run_id=run_id, out_of_order=True)
        while True:
            for attempt in range(RETRIES + 1):
                reply = self._deliveries.now(Order("rollback_run", task, self._armed("rollback_run", attempt)))
                if not reply.transient:
                    break
            outcome = reply.result
            if not isinstance(outcome, RollbackOutcome) or not outcome.more:
                return isinstance(outcome, RollbackOutcome)
            task = task.model_copy(update={"rollback_id": outcome.rollback_id})

    def retry(self, messages: Iterable[FailureMessage]) -> None:
        """Messages about failed records, as the queue delivers them."""
        for message in messages:
            for attempt in range(RETRIES + 1):
                reply = self._deliveries.now(Order("retry_failure", message, self._armed("retry_failure", attempt)))
                if not reply.transient:
                    break

    def _side_by_side(self, execution: Execution) -> list[Delivery]:
        """Any delivery that is due, with the other items of its map if that is a distributed one."""
        first = self._luck.choice(execution.ready)
        if first.function not in _MANY:
            return [first]
        together = [delivery for delivery in execution.ready if delivery.place[:-2] == first.place[:-2]]
        return self._luck.sample(together, len(together))

    def _deliver(self, due: list[Delivery]) -> list[Reply]:
        orders = [
            Order(delivery.function, payload, self._armed(_kind(delivery, payload), delivery.attempt))
            for delivery in due for payload in (payload_of(delivery),)
        ]  # fmt: skip
        for order in orders:
            if isinstance(order.message, BatchTask):
                self._deliveries.remember(order.message)
                self._double(order.message)
            elif order.step == "settle_uniques" and self._chance(0.1):
                self._deliveries.now(order)
            elif (order.step == "sync_keys" or _erases(order.message)) and self._chance(0.3):
                self.doubled += 1
                self._deliveries.late(Order(order.step, order.message))
        if any(delivery.state == "PlanEntity" for delivery in due):
            self._raise_the_dead()
        return self._deliveries.many(orders)

    def _double(self, batch: BatchTask) -> None:
        """Lambda is invoked twice, or a delivery is given up on while it still works: a second one beside it."""
        if self._faults is not None and self._luck.random() < 0.12:
            self.doubled += 1
            stalled = self._faults.stall("sync_batch") if self._luck.random() < 0.5 else {}
            self._deliveries.late(Order("sync_batch", batch, stalled))

    def _raise_the_dead(self) -> None:
        """Batches of runs that may be long over come once more."""
        if self._faults is not None and self._deliveries.old and self._luck.random() < 0.15:
            self.zombies += 1
            batch = self._luck.choice(self._deliveries.old)
            self._deliveries.late(Order("sync_batch", batch, self._faults.choose("sync_batch")))

    def _armed(self, step: str, attempt: int) -> dict[str, Action]:
        return self._faults.choose(step) if self._faults is not None and attempt < 2 else {}

    def _shuffled(self, place: StatePath, items: int) -> list[int]:
        return self._luck.sample(range(items), items)

    def _chance(self, share: float) -> bool:
        return self._faults is not None and self._luck.random() < share


def _kind(delivery: Delivery, payload: Any) -> str:
    """The function, or that it erases."""
    if delivery.function != "plan_run" or not _erases(payload):
        return delivery.function
    return ERASING_AGAIN if delivery.attempt else ERASING


def _erases(payload: Any) -> bool:
    """Whether the run's first step is to erase."""
    request = getattr(payload, "request", None)
    return isinstance(request, RunRequest) and request.act != "sync"


def started(request: RunRequest, manifests: StoredManifests, order: Callable[[StatePath, int], list[int]]) -> Execution:
    """The state machine about to run."""
    given = request.model_dump(mode="json", exclude={"run_id"}, exclude_unset=True)
    return Execution(flow(Retries=RETRIES, BatchConcurrency=2 * RETRIES), request.run_id, given, manifests.lines, order)


def outcome(reply: Reply) -> Any:
    """What Step Functions makes of a worker's reply."""
    if reply.error is None:
        return None if reply.result is None else reply.result.model_dump(mode="json")
    if reply.error in (CRASHED, DIED):
        return died()
    return raised("TransientError" if reply.transient else "PermanentError", f"{reply.error}: {reply.sentence}")
