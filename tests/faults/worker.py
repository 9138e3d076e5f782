"""One worker process: takes a step and the faults to arm, does it, and answers; or dies on the way, as told.

The same steps, over the same parts, as the functions of a deployment.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import (
    BatchTask,
    DeleteTask,
    EntityTask,
    FailureMessage,
    LinkTask,
    Profile,
    ReportRequest,
    RunFailure,
    RunRequest,
    SegmentTask,
    SettleTask,
)
from hybrid_sync.errors import SyncError
from hybrid_sync.failpoints import Action, FailpointRaised, armed
from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.postgres import Connection, Side, connect
from hybrid_sync.steps.compare_segment import compare_segment
from hybrid_sync.steps.confirm_differences import confirm_differences
from hybrid_sync.steps.link_references import link_references
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.propagate_deletes import propagate_deletes
from hybrid_sync.steps.recheck_entity import recheck_entity
from hybrid_sync.steps.reconcile_entity import reconcile_entity
from hybrid_sync.steps.record_failure import record_failure
from hybrid_sync.steps.report_run import report_run
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.settle_uniques import settle_uniques
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.steps.verify_entity import verify_entity
from hybrid_sync.world import ProfileLimits
from tests.faults.cloud import FaultyDynamo, FaultyQueue, SilentAlerts, Store, StoredManifests, StoredReports
from tests.faults.owners import SECRET
from tests.faults.pooler import pooled
from tests.faults.servers import CATALOG

_DIRECT = 0.05
_SEGMENT_ROWS = 60
# Once in the process from which workers are forked, not once in each of them.
_CATALOG = load(CATALOG)


@dataclass(frozen=True)
class Place:
    """Where a worker finds everything; `unreliable` is the share of AWS requests that go wrong."""

    legacy: str
    target: str
    store: Path
    batch_size: int
    unreliable: float


class NoExecutions:
    """There is no Step Functions here: the driver plays it."""

    def status(self, run_id: str) -> str | None:
        return None


class FaultWorld:
    """`hybrid_sync.world.World` of one worker process."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._luck = luck = random.Random(seed)
        store = Store(place.store)
        self.catalog: Catalog = _CATALOG
        self.id_secret = SECRET
        self.id_cache = DynamoIdCache(
            "ids",
            FaultyDynamo(store, luck, place.unreliable),
            self.id_secret,
            sleep=lambda seconds: None,
            # An hour passes in two minutes, so that the cache's pause after a failure lasts a second.
            monotonic=lambda: time.monotonic() * 30,
        )
        self.manifests = StoredManifests(store)
        self.reports = StoredReports(store)
        self.failure_queue = FaultyQueue(store, luck, place.unreliable)
        self.alerts = SilentAlerts()
        self.executions = NoExecutions()

    def limits(self, profile: Profile) -> ProfileLimits:
        return ProfileLimits(self._place.batch_size, 3_600)

    def connect_legacy(self) -> Connection:
        return self._connect(self._place.legacy, "legacy")

    def connect_target(self) -> Connection:
        return self._connect(self._place.target, "target")

    def _connect(self, dsn: str, side: Side) -> Connection:
        """Usually a session that a pooler kept open, as Supabase's does; sometimes a new one."""
        if self._luck.random() < _DIRECT:
            return connect(dsn, side)
        return pooled(dsn, side)

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Order:
    """One delivery of one step; `message` is its input."""

    step: str
    message: BaseModel
    faults: Mapping[str, Action] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came of it: a result, or the code of a failure and whether trying again can help."""

    result: Any = None
    error: str | None = None
    transient: bool = False
    text: str = ""
    passed: Mapping[str, int] = field(default_factory=dict)
    fired: Mapping[str, int] = field(default_factory=dict)


_STEPS: dict[str, tuple[type[BaseModel], Callable[..., Any]]] = {
    "plan_run": (RunRequest, plan_run),
    "plan_entity": (EntityTask, plan_entity),
    "sync_batch": (BatchTask, sync_batch),
    "settle_uniques": (SettleTask, settle_uniques),
    "link_references": (LinkTask, link_references),
    "reconcile_entity": (EntityTask, partial(reconcile_entity, segment_rows=_SEGMENT_ROWS)),
    "compare_segment": (SegmentTask, compare_segment),
    "confirm_differences": (EntityTask, confirm_differences),
    "recheck_entity": (EntityTask, recheck_entity),
    "propagate_deletes": (DeleteTask, propagate_deletes),
    "verify_entity": (EntityTask, verify_entity),
    "report_run": (ReportRequest, report_run),
    "record_failure": (RunFailure, record_failure),
    "retry_failure": (FailureMessage, retry_failure),
}


def work(place: Place, seed: int, pipe: Pipe) -> None:
    """Answer orders until the other end closes."""
    world = FaultWorld(place, seed)
    while True:
        try:
            order: Order = pipe.recv()
        except EOFError:
            return
        with armed(order.faults) as points:
            reply = _do(world, order)
        pipe.send(
            Reply(reply.result, reply.error, reply.transient, reply.text, dict(points.passed), dict(points.fired))
        )


def _do(world: FaultWorld, order: Order) -> Reply:
    expected, step = _STEPS[order.step]
    assert isinstance(order.message, expected)
    try:
        return Reply(result=step(world, order.message))
    except SyncError as error:
        return Reply(error=error.code, transient=error.transient, text=str(error))
    except FailpointRaised as error:
        # Lambda answers an error of no known class; the state machine tries those again.
        return Reply(error="failpoint", transient=True, text=str(error))
    except Exception as error:  # noqa: BLE001 - like Lambda: whatever it is becomes an answer
        return Reply(error=type(error).__name__, text=_whole(error))


def _whole(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
