"""One run as the state machine conducts it, on a bad day: retries, doubled, reordered and late deliveries, aborts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from hybrid_sync.contracts import (
    BatchTask,
    DeleteTask,
    EntityTask,
    FailureMessage,
    LinkTask,
    PlannedRun,
    Profile,
    ReportRequest,
    RunFailure,
    RunRequest,
    SettleTask,
)
from hybrid_sync.failpoints import Action
from tests.faults.cloud import StoredManifests
from tests.faults.faultplan import FaultPlan
from tests.faults.pool import Pool
from tests.faults.worker import Order, Reply

_ATTEMPTS = 4
_KEPT = 40


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
        elif reply.error == "died":
            self.defects.append(reply.text)
        return reply

    def many(self, orders: Iterable[Order]) -> list[Reply]:
        """Deliver side by side, and wait for all."""
        return [future.result() for future in [self._threads.submit(self.now, order) for order in orders]]

    def late(self, order: Order) -> None:
        """Deliver, and let nobody wait."""
        self._late.append(self._threads.submit(self.now, order))

    def remember(self, batches: Iterable[BatchTask]) -> None:
        self.old = [*self.old, *batches][-_KEPT:]

    def settle(self) -> None:
        """Return when nothing is under way any more."""
        wait(self._late)
        for future in self._late:
            future.result()
        self._late.clear()

    def close(self) -> None:
        self._threads.shutdown()


class Driver:
    """Conducts one run; without faults it is an ordinary run."""

    def __init__(
        self, deliveries: Deliveries, manifests: StoredManifests, luck: random.Random, faults: FaultPlan | None
    ) -> None:
        self._deliveries = deliveries
        self._manifests = manifests
        self._luck = luck
        self._faults = faults
        self.status = "lost"
        self.doubled = 0
        self.zombies = 0

    def run(self, request: RunRequest) -> None:
        """From the request to the report; some runs are aborted on the way, and nobody reports them."""
        plan = self._step("plan_run", request)
        if plan.result is None:
            self._report(request.run_id, self._failure(request.run_id, None, "PlanRun", plan))
            return
        planned: PlannedRun = plan.result
        for wave in planned.waves:
            for task in self._luck.sample(wave, len(wave)):
                if self._chance(0.01):
                    return
                self._entity(task)
        link = self._until_nothing_is_left("link_references", LinkTask(run_id=request.run_id))
        failure = self._failure(request.run_id, None, "LinkReferences", link) if link.error else None
        if failure is None and planned.profile in (Profile.weekly, Profile.verify):
            for task in self._luck.sample(planned.entities, len(planned.entities)):
                self._tell(task, "ReconcileEntity", self._reconcile(task))
        if failure is None:
            deletes = self._until_nothing_is_left("propagate_deletes", DeleteTask(run_id=request.run_id))
            if deletes.error:
                failure = self._failure(request.run_id, None, "PropagateDeletes", deletes)
        if failure is None:
            freed = self._step("settle_uniques", SettleTask(run_id=request.run_id))
            if freed.error:
                failure = self._failure(request.run_id, None, "SettleFreed", freed)
        if failure is None:
            for task in self._luck.sample(planned.entities, len(planned.entities)):
                self._tell(task, "VerifyEntity", self._step("verify_entity", task))
        if self._chance(0.02):
            return
        self._report(request.run_id, failure)

    def retry(self, messages: Iterable[FailureMessage]) -> None:
        """Messages about failed records, as the queue delivers them."""
        for message in messages:
            self._step("retry_failure", message)

    # --- parts of a run ------------------------------------------------------------------------------------

    def _entity(self, task: EntityTask) -> None:
        planned = self._step("plan_entity", task)
        if planned.error:
            self._tell(task, "PlanEntity", planned)
            return
        batches = self._manifests.read(task.run_id, task.entity) or []
        self._deliveries.remember(batches)
        self._raise_the_dead()
        self._tell(task, "SyncBatch", self._batches(batches))
        if batches:
            self._tell(task, "SettleUniques", self._settle(task))

    def _batches(self, batches: list[BatchTask]) -> Reply:
        """All of them, in any order and side by side; the first failure for good, or the last one."""
        pending = self._luck.sample(batches, len(batches))
        for attempt in range(_ATTEMPTS):
            if not pending:
                return Reply()
            orders = [Order("sync_batch", batch, self._armed("sync_batch", attempt)) for batch in pending]
            for batch in pending:
                self._double(batch)
            replies = self._deliveries.many(orders)
            failed = [(b, r) for b, r in zip(pending, replies, strict=True) if r.error]
            for _, reply in failed:
                if not reply.transient:
                    return reply
            pending = [batch for batch, _ in failed]
        return Reply(error="retries_exhausted") if pending else Reply()

    def _reconcile(self, task: EntityTask) -> Reply:
        """Compare, confirm, heal, look again; the first failure."""
        reply = self._step("reconcile_entity", task)
        if reply.result is not None and reply.result.segments:
            segments = self._manifests.segments(task.run_id, task.entity)
            for compared in [self._step("compare_segment", segment) for segment in segments]:
                if compared.error:
                    return compared
            reply = self._step("confirm_differences", task)
        if reply.result is None or not reply.result.batches:
            return reply
        healed = self._batches(self._manifests.read(task.run_id, f"{task.entity}.heal") or [])
        healed = healed if healed.error else self._settle(task)
        return healed if healed.error else self._step("recheck_entity", task)

    def _settle(self, task: EntityTask) -> Reply:
        """What unique values kept out; now and then twice."""
        reply = self._step("settle_uniques", SettleTask(run_id=task.run_id, entity=task.entity))
        if reply.error or not self._chance(0.1):
            return reply
        return self._step("settle_uniques", SettleTask(run_id=task.run_id, entity=task.entity))

    def _double(self, batch: BatchTask) -> None:
        """The queue delivers twice, or a delivery is given up on while it still works: a second one beside it."""
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

    def _report(self, run_id: str, failure: RunFailure | None) -> None:
        reply = self._step("report_run", ReportRequest(run_id=run_id, failure=failure))
        if reply.result is not None:
            self.status = reply.result.status

    def _tell(self, task: EntityTask, state: str, reply: Reply) -> None:
        if reply.error:
            self._step("record_failure", self._failure(task.run_id, task.entity, state, reply))

    def _failure(self, run_id: str, entity: str | None, state: str, reply: Reply) -> RunFailure:
        # Deliberately not the reply's text: a traceback is no message for a report.
        return RunFailure(run_id=run_id, entity=entity, state=state, error=reply.error or "", cause=state)

    # --- deliveries ----------------------------------------------------------------------------------------

    def _until_nothing_is_left(self, step: str, message: object) -> Reply:
        """A step that does a bounded number of rows in one call."""
        while True:
            reply = self._step(step, message)
            if reply.error or not reply.result.more:
                return reply

    def _step(self, step: str, message: object) -> Reply:
        """Deliver until it succeeds or fails for good, as the state machine's Retry does."""
        reply = Reply(error="never_delivered")
        for attempt in range(_ATTEMPTS):
            reply = self._deliveries.now(Order(step, message, self._armed(step, attempt)))  # type: ignore[arg-type]
            if not (reply.error and reply.transient):
                break
        return reply

    def _armed(self, step: str, attempt: int) -> dict[str, Action]:
        return self._faults.choose(step) if self._faults is not None and attempt < 2 else {}

    def _chance(self, share: float) -> bool:
        return self._faults is not None and self._luck.random() < share
