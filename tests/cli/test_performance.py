"""`hybrid-sync performance` and `usage` say where time and money went, what held a run up, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from hybrid_sync.metering import MeasuredCall
from hybrid_sync.postgres import connect
from hybrid_sync.runs.usage import Recorder
from hybrid_sync.timing import Times
from tests.cli.conftest import Command
from tests.cli.gateway import Desk

_RUNS = """
insert into hybrid_sync.run (run_id, profile, trigger, priority, request, status, fence, catalog_hash, build,
                             deadline_at, started_at)
select id, profile, trigger, 'normal', request::jsonb, 'succeeded', '{}', '', '', now(), now() - n * interval '1 hour'
from (
  select 'daily-' || n, 'daily', 'schedule', '{}', n from generate_series(1, 6) n
  union all
  select 'asked-' || n, 'on_demand', 'api',
         '{"requested_by": "token:7f3a", "refs": [{"entity": "orders", "legacy_id": ' || n % 20 || '}]}', n
  from generate_series(1, 30) n
  union all
  select 'again-1', 'on_demand', 'retry', '{"refs": [{"entity": "orders", "legacy_id": 1}]}', 1
) v(id, profile, trigger, request, n);
insert into hybrid_sync.run_entity (run_id, entity, wave, status)
  select run_id, 'orders', 0, 'verified' from hybrid_sync.run
  union all select run_id, 'tasks', 0, 'verified' from hybrid_sync.run where profile = 'daily';
insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi, result)
  select gen_random_uuid(), run_id, 'orders', 'o', 0, 1,
         '{"read": 3, "retried": 0, "inserted": 1, "updated": 1, "unchanged": 1, "failed": 0}'
  from hybrid_sync.run;
"""


def spent(run_id: str, entity: str, seconds: int, **times: Times) -> MeasuredCall:
    named = {name.replace("_", " "): one for name, one in times.items()}
    about = MeasuredCall(run_id, entity, "hybrid-sync-sync-batch", "worker", 512, 1)
    return replace(about, milliseconds=seconds * 1_000, times=named)


def micros(number: int, seconds: float) -> Times:
    each = round(seconds / number * 1e6)
    return Times(number, round(seconds * 1e6), each, each)


@pytest.fixture
def runs(desk: Desk, store: psycopg.Connection[Any]) -> Recorder:
    """Six daily runs in which tasks never change, and thirty critical requests of orders by one token."""
    store.execute(_RUNS)
    return Recorder(lambda: connect(desk.target_dsn, "target"))


def test_a_runs_time_is_told_with_its_bottleneck_and_trend(runs: Recorder, hybrid_sync: Command) -> None:
    for n in range(2, 6):
        runs.record(spent(f"daily-{n}", "orders", 10, update=micros(4, 2)), now=True)
    waits = {"lock": micros(4, 45), "lock_target": micros(4, 45), "map_target": micros(4, 0.1)}
    runs.record(spent("daily-1", "orders", 60, **waits), now=True)
    told = json.loads(hybrid_sync("performance", "daily-1", "--json").out)
    found = told["performance"]
    assert [(one["code"], one["entity"]) for one in found["bottlenecks"]] == [("lock_waits", "orders")]
    assert [(one["step"], one["seconds"]) for one in found["steps"]] == [("lock", 45), ("sync batch", 15), ("map", 0)]
    assert [(one["side"], one["step"], one["longest"]) for one in found["slowest"]] == [
        ("target", "lock", 11.25), ("target", "map", 0.025),
    ]  # fmt: skip
    assert told["trend"].startswith("Slower than usual: 60.0 s of calls, 10.0 s in the 4 runs before")
    said = hybrid_sync("performance").out
    assert "Bottleneck lock_waits (75% of the time): Batches of orders waited 44.9 s for locks in the target" in said


def test_a_run_of_which_nothing_was_measured_is_said_to_be_one(runs: Recorder, hybrid_sync: Command) -> None:
    assert "Nothing was measured of run daily-3" in hybrid_sync("performance", "daily-3").err
    assert "There is no run daily-9" in hybrid_sync("performance", "daily-9").err


def test_usage_says_who_asked_and_which_schedule_would_fit_better(runs: Recorder, hybrid_sync: Command) -> None:
    for n in range(1, 7):
        runs.record(spent(f"daily-{n}", "tasks", 10), now=True)
    runs.record(spent("again-1", "orders", 10), now=True)
    told = json.loads(hybrid_sync("usage", "--json").out)
    [caller] = told["callers"]
    del caller["last"]
    assert caller == {"caller": "token:7f3a", "trigger": "api", "runs": 30, "rows": 30, "entities": ["orders"]}
    entities = {one["entity"]: one for one in told["entities"]}
    by_profile = {one["profile"]: (one["runs"], one["dollars"]) for one in entities["orders"]["profiles"]}
    assert by_profile == {"daily": (6, 0.0), "on_demand": (30, 0.0), "retry": (1, pytest.approx(0.000067, abs=1e-5))}
    assert (entities["orders"]["asked"], entities["orders"]["keys"]) == (30, 20)
    daily = next(one for one in entities["tasks"]["profiles"] if one["profile"] == "daily")
    assert (daily["runs"], daily["idle"], daily["dollars"] > 0) == (6, 6, True)
    assert entities["tasks"]["advice"].startswith("tasks: nothing changed in 6 of 6 daily runs: weekly is enough")
    said = hybrid_sync("usage").out
    assert "orders: 30 on-demand runs for 20 different keys in 7 days" in said
    assert "token:7f3a" in said
