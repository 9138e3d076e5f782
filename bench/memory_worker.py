"""One warm worker of one step, as Lambda keeps it: every invocation of that step, then what it used at most.

`python -m bench.memory_worker` reads an Order from standard input and writes what became of it.
"""

from __future__ import annotations

import importlib
import sys
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import BatchTask, DeleteTask, EntityTask, Message, SegmentTask
from hybrid_sync.entrypoint import peak_rss_kib
from hybrid_sync.settings import Settings
from hybrid_sync.wiring import Connections, DeployedWorld

TABLE = "ids"
BUCKET = "data"
_ASKS: dict[str, type[Message]] = {
    "sync_batch": BatchTask, "compare_segment": SegmentTask, "propagate_deletes": DeleteTask
}  # fmt: skip


class Order(BaseModel):
    """A step, its invocations, and what the step needs besides."""

    model_config = ConfigDict(frozen=True)

    legacy_dsn: str
    target_dsn: str
    step: str
    tasks: tuple[dict[str, Any], ...]
    segment_rows: int | None = None
    catalog: str = "bench.memory_world"
    """The module whose CATALOG is meant."""


class Done(BaseModel):
    """The last invocation's answer; KiB before the first invocation, and at most."""

    model_config = ConfigDict(frozen=True)

    answer: dict[str, Any]
    before: int
    peak: int


class WorkerWorld(DeployedWorld):
    """A deployment's own world, but for its secret and its catalog, which come with the order."""

    def __init__(self, order: Order) -> None:
        super().__init__(Settings(ID_MAP_TABLE=TABLE, DATA_BUCKET=BUCKET, FAILED_QUEUE_URL="none"))
        self._catalog: Catalog = importlib.import_module(order.catalog).CATALOG
        self._told = Connections.model_validate({**order.model_dump(), "id_secret": "only for benchmarks"})

    @cached_property
    def catalog(self) -> Catalog:
        return self._catalog

    def _connections(self) -> Connections:
        return self._told


def obey(order: Order) -> Done:
    """Do all that the order names in this process."""
    step = getattr(importlib.import_module(f"hybrid_sync.steps.{order.step}"), order.step)
    asked = _ASKS.get(order.step, EntityTask)
    world = WorkerWorld(order)
    more = () if order.segment_rows is None else (order.segment_rows,)
    before = peak_rss_kib()
    answer: dict[str, Any] = {}
    for task in order.tasks:
        answer = {"more": True}
        while answer.get("more"):
            answer = {"more": False, **step(world, asked.model_validate(task), *more).model_dump(mode="json")}
    return Done(answer=answer, before=before, peak=peak_rss_kib())


if __name__ == "__main__":
    print(obey(Order.model_validate_json(sys.stdin.read())).model_dump_json())
