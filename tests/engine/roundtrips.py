"""How often the engine waits for a database, and how often it reads each row, in runs over six small tables."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hybrid_sync.contracts import BatchResult, BatchTask, Profile, Ref, RunRequest, SyncedKeys
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.sync_batch import sync_batch
from tests.engine.six_tables import Counted
from tests.engine.worlds import execution, functions_of, run
from tests.flow.conduct import conduct

DELAY = 0.02
"""Seconds."""


@dataclass(frozen=True)
class Batch:
    """Waits for the target of one batch with new, changed and unchanged rows, in a worker that has done one."""

    batch: int
    batch_cache_miss: int


@dataclass(frozen=True)
class Idle:
    """A run of six entities of which no row has changed."""

    waits: int
    connections: int
    read_legacy: float
    read_target: float


@dataclass(frozen=True)
class OneRow:
    """A run that brings one changed row."""

    target: int
    legacy: int
    connections: int
    """New ones, in a worker that has both."""


def batches(six: Counted) -> Batch:
    """Two batches of one entity, each with new, changed and unchanged rows; then one whose parents no cache knows."""
    world = six.world
    run(world, "before-batches")
    warm, _ = six.mixed("warm"), six.take()
    tasks = _planned(six, warm)
    sync_batch(world, tasks[0])
    six.take()
    _require_mixed(sync_batch(world, tasks[1]))
    cached = six.target.take().waits
    world.id_cache.ids.clear()
    _require_mixed(sync_batch(world, tasks[2]))
    return Batch(cached, six.target.take().waits)


def _require_mixed(done: BatchResult) -> None:
    assert done.inserted and done.updated and done.unchanged and not done.failed


def _planned(six: Counted, run_id: str) -> list[BatchTask]:
    plan = plan_run(six.world, RunRequest(run_id=run_id, profile=Profile.daily, batch_size=50))
    for task in plan.entities:
        plan_entity(six.world, task)
    return six.world.manifests.read(run_id, "lines") or []


def idle(six: Counted, profile: Profile) -> Idle:
    """A run of this profile after one that has brought everything."""
    run(six.world, f"before-{profile}", profile=profile)
    before = six.rows_read()
    six.take()
    assert run(six.world, f"idle-{profile}", profile=profile).outcome.status == "succeeded"
    legacy, target = six.legacy.take(), six.target.take()
    read = six.per_row(before, six.rows_read())
    return Idle(legacy.waits + target.waits, legacy.connections + target.connections, *read)


def slowed(six: Counted) -> str:
    """A line about an idle weekly run whose every answer takes 20 ms longer, after one without."""
    run(six.world, "quick", profile=Profile.weekly)
    began = time.perf_counter()
    run(six.world, "at-once", profile=Profile.weekly)
    at_once = time.perf_counter() - began
    six.take()
    six.legacy.delay = six.target.delay = DELAY
    began = time.perf_counter()
    run(six.world, "slowed", profile=Profile.weekly)
    seconds, waits = time.perf_counter() - began, six.legacy.take().waits + six.target.take().waits
    six.legacy.delay = six.target.delay = 0.0
    allowed = 1.5 * at_once + waits * DELAY
    return f"DELAYED seconds_0ms={at_once:.1f} seconds_20ms={seconds:.1f} waits={waits} allowed={allowed:.1f}"


def one_row(six: Counted) -> OneRow:
    """An on-demand run for one row that has changed, whose parents are there."""
    run(six.world, "before-one")
    six.change("update line set quantity = quantity + 1 where id = 21")
    six.take()
    functions = functions_of(six.world)
    refs = (Ref(entity="lines", legacy_id=21),)
    ended = conduct(execution(six.world, "one", profile=Profile.on_demand, refs=refs), functions)
    target, legacy = six.target.take(), six.legacy.take()
    [(_, said)] = functions.said(SyncedKeys)
    assert ended.status == "SUCCEEDED"
    assert said.outcome is not None
    assert said.outcome.summary["updated"] == 1
    return OneRow(target.waits, legacy.waits, target.connections + legacy.connections)


def line(batch: Batch, weekly: Idle, daily: Idle, one: OneRow) -> str:
    """The line that `make bench ARGS=roundtrips` prints; rows read are legacy/target."""
    told = {
        "batch": batch.batch, "batch_cache_miss": batch.batch_cache_miss,
        "idle_weekly": weekly.waits, "connections": weekly.connections,
        "one_row_target": one.target, "one_row_legacy": one.legacy,
        "read_daily": f"{daily.read_legacy:.2f}/{daily.read_target:.2f}",
        "read_weekly": f"{weekly.read_legacy:.2f}/{weekly.read_target:.2f}",
    }  # fmt: skip
    return "ROUNDTRIPS " + " ".join(f"{name}={value}" for name, value in told.items())
