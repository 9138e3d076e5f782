"""One worker process: takes a step and the faults to arm, does it, and answers; or dies on the way, as told.

The same steps, over the same parts, as the functions of a deployment.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.load import load
from hybrid_sync.contracts import FailureMessage, Profile, RollbackTask
from hybrid_sync.entrypoint import error_sentence
from hybrid_sync.errors import SyncError
from hybrid_sync.failpoints import Action, FailpointRaised, armed
from hybrid_sync.ids.cache import DynamoIdCache
from hybrid_sync.pool import Pool
from hybrid_sync.postgres import Connection, Side, connect
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.world import ProfileLimits
from tests.faults.cloud import (
    FaultyDynamo,
    FaultyQueue,
    SilentAlerts,
    Store,
    StoredErasures,
    StoredExecutions,
    StoredManifests,
    StoredReports,
)
from tests.faults.owners import SECRET
from tests.faults.pooler import pooled
from tests.faults.servers import CATALOG
from tests.flow.functions import Steps

_DIRECT, _KEPT = 0.05, 0.45
_POOL = Pool()
_SEGMENT_ROWS = 60
CRASHED, DIED = "crashed", "died"
"""A worker that ended at a failpoint, as it was told to; one that ended otherwise."""
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


class FaultWorld:
    """`hybrid_sync.world.World` of one worker process."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._luck = luck = random.Random(seed)
        store = Store(place.store)
        self.catalog: Catalog = _CATALOG
        self.build = ""
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
        self.executions = StoredExecutions(store)
        self.erasures = StoredErasures(store)

    def limits(self, profile: Profile) -> ProfileLimits:
        return ProfileLimits(self._place.batch_size, 3_600)

    def connect_legacy(self) -> Connection:
        return self._connect(self._place.legacy, "legacy")

    def connect_target(self) -> Connection:
        return self._connect(self._place.target, "target")

    def connect_both(self) -> tuple[Connection, Connection]:
        return _POOL.at_once(self.connect_legacy, self.connect_target, ())

    def _connect(self, dsn: str, side: Side) -> Connection:
        """A session that a pooler kept open, as Supabase's does, or one that the worker kept; sometimes a new one."""
        kind = self._luck.random()
        if kind < _DIRECT:
            return connect(dsn, side)
        return _POOL.connect(dsn, side) if kind < _DIRECT + _KEPT else pooled(dsn, side)

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Order:
    """One delivery of one step, by its name; `message` is its input."""

    step: str
    message: BaseModel
    faults: Mapping[str, Action] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came of it: a result, or the code of a failure and whether trying again can help."""

    result: Any = None
    error: str | None = None
    transient: bool = False
    sentence: str = ""
    text: str = ""
    """A traceback, or how the worker died; no report has it."""
    passed: Mapping[str, int] = field(default_factory=dict)
    fired: Mapping[str, int] = field(default_factory=dict)


def work(place: Place, seed: int, pipe: Pipe) -> None:
    """Answer orders until the other end closes."""
    steps = Steps(FaultWorld(place, seed), _SEGMENT_ROWS)
    while True:
        try:
            order: Order = pipe.recv()
        except EOFError:
            return
        with armed(order.faults) as points:
            reply = _do(steps, order)
        pipe.send(replace(reply, passed=dict(points.passed), fired=dict(points.fired)))


def _do(steps: Steps, order: Order) -> Reply:
    try:
        if isinstance(order.message, FailureMessage):
            return Reply(result=retry_failure(steps.world, order.message))
        if isinstance(order.message, RollbackTask):
            return Reply(result=rollback_run(steps.world, order.message))
        return Reply(result=steps(order.step, order.message))
    except SyncError as error:
        return Reply(error=error.code, transient=error.transient, sentence=str(error))
    except FailpointRaised as error:
        # Like a failure that time heals, wherever in the step it comes: the state machine tries it again.
        return Reply(error="failpoint", transient=True, sentence=str(error))
    except Exception as error:  # noqa: BLE001 - like Lambda: whatever it is becomes an answer
        sentence, transient = error_sentence(error)
        if transient:  # a session that was lost where no transaction names it: the border of a function does
            return Reply(error="connection_lost", transient=True, sentence=sentence)
        return Reply(error=type(error).__name__, text=_whole(error))


def _whole(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
