"""What the gate and its entry are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.aws import Client
from hybrid_sync.runs.starter import RunStarter


class Parts(NamedTuple):
    jobs: JobStore
    slots: SlotStore
    executions: RunStarter
    bounds: Bounds
    now: Callable[[], datetime]


def parts(
    table: str, client: Client, executions: RunStarter, bounds: tuple[int, int, int], now: Callable[[], datetime]
) -> Parts:  # fmt: skip
    """Of the deployment whose control table this is; `bounds` as Bounds has them."""
    return Parts(JobStore(table, client), SlotStore(table, client), executions, Bounds(*bounds), now)
