"""A run that is in the air while others are undone: the state machine, stopped in the middle and played on later."""

from __future__ import annotations

from typing import Any

from hybrid_sync.contracts import PlannedRun
from hybrid_sync_cli.flow.execution import Delivery
from tests.engine.worlds import EngineWorld, execution, functions_of
from tests.flow.conduct import conduct


class Flying:
    """A daily run; `batches` of it have been written."""

    def __init__(self, world: EngineWorld, run_id: str) -> None:
        self.run_id = run_id
        self.batches = 0
        self._functions = functions_of(world)
        self._execution = execution(world, run_id, profile="daily")

    @property
    def entities(self) -> list[str]:
        return [task.entity for _, plan in self._functions.said(PlannedRun) for task in plan.entities]

    def take_off(self, batches: int) -> None:
        """Every entity of a wave is planned before anything of it is written, and then so many batches."""

        def high_enough(delivery: Delivery) -> bool:
            if delivery.function == "sync_batch":
                return self.batches == batches
            return delivery.function == "link_references"

        def deliver(delivery: Delivery) -> Any:
            answer = self._functions(delivery)
            self.batches += delivery.function == "sync_batch"
            return answer

        conduct(
            self._execution, deliver, until=high_enough,
            choose=lambda ready: min(ready, key=lambda delivery: delivery.function == "sync_batch"),
        )  # fmt: skip

    def land(self) -> list[str]:
        """The rest of the run up to its report, which it never writes; the entity of each batch that was carried."""
        carried: list[str] = []

        def deliver(delivery: Delivery) -> Any:
            answer = self._functions(delivery)
            if delivery.function == "sync_batch":
                carried.append(delivery.payload["entity"])
            return answer

        conduct(self._execution, deliver, until=lambda delivery: delivery.function == "report_run")
        return carried
