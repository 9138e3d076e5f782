"""The deployed functions, conducted by the emulator and then by the interpreter: the same states, and the same outcome.

The emulator's history is recorded anew each time, so that no recording can go stale.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from hybrid_sync.runs.holds import hold, holds, release
from hybrid_sync_cli.flow.data import StateError
from hybrid_sync_cli.flow.deployed import flow
from hybrid_sync_cli.flow.execution import Delivery, Execution
from hybrid_sync_cli.stack import STACK_NAME, Stack
from tests.flow.conduct import conduct
from tests.stack.usage import by_the_emulator, by_the_workers
from tests.stack.world import fill

PATIENCE = 400.0
ENTITIES = ["offices", "profiles", "payments"]
HOLDER = "a test"


@dataclass(frozen=True)
class Trace:
    """What a run went through: the states outside of maps, its end, and what it recorded of each map's items."""

    states: list[str]
    end: tuple[str, str]
    entities: list[tuple[Any, ...]]
    failures: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def stack(deployed: Stack) -> Iterator[Stack]:
    """With a small world, synced once."""
    fill(deployed)
    assert emulated(deployed, "first", {"profile": "daily", "entities": ENTITIES}).end == ("SUCCEEDED", "")
    assert by_the_workers(deployed, "first") == by_the_emulator("first")
    yield deployed


def test_what_calls_that_fail_have_used_is_counted_as_the_emulator_has_it(stack: Stack) -> None:
    """Nobody calls these workers again for this run, so whatever is not counted at once never is."""
    task = {"run_id": "failing", "entity": "payments"}
    batch = {"source": "payment", "lo": 0, "hi": 500, "buckets": [[0, 0]]}
    for function, given in (("plan-entity", {}), ("sync-batch", batch), ("verify-entity", {}), ("settle-uniques", {})):
        answer = stack.client("lambda").invoke(
            FunctionName=f"{STACK_NAME}-{function}", Payload=json.dumps({**task, **given}).encode()
        )
        assert "FunctionError" in answer, function
    ours, theirs = by_the_workers(stack, "failing"), by_the_emulator("failing")
    assert sum(theirs["calls"].values()) >= 3, theirs
    assert (ours["calls"], ours["requests"]) == (theirs["calls"], theirs["requests"])


def emulated(stack: Stack, run_id: str, request: dict[str, Any]) -> Trace:
    states = stack.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=stack.outputs["StateMachineArn"], name=run_id, input=json.dumps(request)
    )["executionArn"]
    end = time.monotonic() + PATIENCE
    while (told := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < end, "the run does not end"
        time.sleep(0.1)
    events = states.get_execution_history(executionArn=arn, maxResults=1_000)["events"]
    entered = [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]
    return Trace(entered, (told["status"], told.get("error", "")), *recorded(stack, run_id))


def interpreted(stack: Stack, run_id: str, request: dict[str, Any]) -> Trace:
    lambdas, s3 = stack.client("lambda"), stack.client("s3")

    def deliver(delivery: Delivery) -> Any:
        name = f"hybrid-sync-{delivery.function.replace('_', '-')}"
        answer = lambdas.invoke(FunctionName=name, Payload=json.dumps(delivery.payload).encode())
        said = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise StateError(json.loads(said)["errorType"], said)
        return json.loads(said)

    def lines(bucket: str, key: str) -> list[Any]:
        found: list[Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return found

    done = conduct(Execution(flow(), run_id, request, lines), deliver)
    return Trace(done.states, (done.status, done.error), *recorded(stack, run_id))


def recorded(stack: Stack, run_id: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The run's entities and failures."""
    with psycopg.connect(stack.target_dsn, autocommit=True) as target:
        entities = target.execute(
            "select entity, status from hybrid_sync.run_entity where run_id = %s order by entity", (run_id,)
        ).fetchall()
        failures = target.execute(
            "select entity, state, error from hybrid_sync.run_failure where run_id = %s order by 1, 2, 3", (run_id,)
        ).fetchall()
    return entities, failures


def both(stack: Stack, name: str, **request: Any) -> Trace:
    """The request by both, on the same world; what they have in common.

    Of a run that succeeds, what its workers have counted of AWS is what the emulator saw.
    """
    theirs = emulated(stack, f"{name}-emulated", request)
    if theirs.end[0] == "SUCCEEDED":
        assert by_the_workers(stack, f"{name}-emulated") == by_the_emulator(f"{name}-emulated")
    with psycopg.connect(stack.target_dsn) as target:
        # What the run's own rollback holds would stop the next one.
        release(target, [held.entity for held in holds(target) if held.by != HOLDER])
    ours = interpreted(stack, f"{name}-interpreted", request)
    assert ours == theirs
    return ours


@pytest.fixture
def held(stack: Stack) -> Iterator[None]:
    """An entity that no run may write."""
    with psycopg.connect(stack.target_dsn) as target:
        hold(target, ["payments"], HOLDER, "It is held.")
    yield
    with psycopg.connect(stack.target_dsn) as target:
        release(target, [held.entity for held in holds(target)])


def test_a_weekly_run(stack: Stack) -> None:
    trace = both(stack, "weekly", profile="weekly", entities=ENTITIES)
    assert trace.end == ("SUCCEEDED", "")
    assert "ReconcileEntities" in trace.states
    assert {status for _, status in trace.entities} == {"verified"}


def test_an_on_demand_run(stack: Stack) -> None:
    with psycopg.connect(stack.legacy_dsn) as legacy:
        row = legacy.execute("select min(id) from dispatch_office").fetchone()
    assert row is not None
    trace = both(stack, "asked", profile="on_demand", refs=[{"entity": "offices", "legacy_id": row[0]}])
    assert trace.end == ("SUCCEEDED", "")
    assert "ReconcileEntities" not in trace.states


def test_a_run_with_a_failed_entity(stack: Stack, held: None) -> None:
    trace = both(stack, "failed", profile="daily", entities=ENTITIES)
    assert trace.end == ("FAILED", "RunFailed")
    assert trace.states[-4:] == ["KeptItsPromises", "SettleFailure", "AnythingLeftToSettle", "RunFailed"]
    assert {entity for entity, _, _ in trace.failures} == {"payments"}


def test_a_run_that_is_rolled_back_when_it_fails(stack: Stack, held: None) -> None:
    with psycopg.connect(stack.legacy_dsn) as legacy:
        legacy.execute("update dispatch_office set name = 'changed' where id = (select min(id) from dispatch_office)")
    trace = both(stack, "undone", profile="daily", entities=ENTITIES, on_failure="rollback")
    assert (trace.end, trace.states[-1]) == (("FAILED", "RunFailed"), "RunFailed")
    with psycopg.connect(stack.target_dsn) as target:
        undone = "select undone_by is not null from hybrid_sync.run where run_id like 'undone-%'"
        assert target.execute(undone).fetchall() == [(True,), (True,)]
