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
from hybrid_sync.compare.reconcile import SEGMENT_ROWS
from hybrid_sync.entrypoint import peak_rss_kib
from hybrid_sync.secret import Connections
from hybrid_sync.settings import Settings
from hybrid_sync.wiring import DeployedWorld
from tests.flow.functions import Steps, deployed

TABLE = "ids"
BUCKET = "data"


class Order(BaseModel):
    """A function of the flow, its invocations, and what it needs besides."""

    model_config = ConfigDict(frozen=True)

    legacy_dsn: str
    target_dsn: str
    function: str
    tasks: tuple[dict[str, Any], ...]
    segment_rows: int = SEGMENT_ROWS
    catalog: str = "bench.memory_world"
    """The module whose CATALOG is meant."""


class Done(BaseModel):
    """What each invocation answered; KiB before the first one, and at most."""

    model_config = ConfigDict(frozen=True)

    answers: tuple[dict[str, Any], ...]
    before: int
    peak: int


class WorkerWorld(DeployedWorld):
    """A deployment's own world, but for its secret and its catalog, which come with the order."""

    def __init__(self, order: Order) -> None:
        super().__init__(
            Settings(ID_MAP_TABLE=TABLE, CONTROL_TABLE="none", DATA_BUCKET=BUCKET, FAILED_QUEUE_URL="none")
        )
        self._catalog: Catalog = importlib.import_module(order.catalog).CATALOG
        self._told = Connections.model_validate(order.model_dump())

    @cached_property
    def catalog(self) -> Catalog:
        return self._catalog

    @property
    def id_secret(self) -> bytes:
        return b"ordered:only for benchmarks"

    def _connections(self) -> Connections:
        return self._told


def obey(order: Order) -> Done:
    """Do all that the order names in this process."""
    steps = Steps(WorkerWorld(order), order.segment_rows)
    message, _ = deployed(order.function)
    before = peak_rss_kib()
    answers = [steps(order.function, message.model_validate(task)).model_dump(mode="json") for task in order.tasks]
    return Done(answers=tuple(answers), before=before, peak=peak_rss_kib())


if __name__ == "__main__":
    print(obey(Order.model_validate_json(sys.stdin.read())).model_dump_json())
