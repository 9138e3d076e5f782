"""The state machine on the emulator with functions that act out a scenario and write down what they were asked."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync_cli.flow import deployed
from hybrid_sync_cli.flow.execution import Delivery, Execution
from hybrid_sync_cli.stack import deploy
from hybrid_sync_cli.stack.deploy import Host
from tests.checks import asl
from tests.flow.conduct import conduct, died, raised
from tests.integration import actor
from tests.unit.lambdas import FakeContext

ACTOR = Path(__file__).with_name("actor.py")
ROLE = "arn:aws:iam::000000000000:role/any"
LIMIT_SECONDS = 240
INPUT = {"profile": "weekly", "trigger": "schedule"}


@dataclass
class Scenario:
    """What the functions of one run answer; `failures` make some of them raise."""

    run_id: str
    waves: list[list[str]]
    batches: dict[str, int] = field(default_factory=dict)
    status: str = "succeeded"
    summary: dict[str, Any] = field(default_factory=dict)
    profile: str = "weekly"
    segments: dict[str, int] = field(default_factory=dict)
    heals: dict[str, int] = field(default_factory=dict)
    link_calls: int = 1
    delete_calls: int = 1
    verify_calls: int = 1
    settle_calls: int = 1
    lost_manifests: frozenset[str] = frozenset()
    after: dict[str, str] = field(default_factory=dict)
    """Which entity follows this one in its strand."""
    ends: dict[str, int] = field(default_factory=dict)
    """Beside which wave of strands the first load of this entity ends."""
    only_ids_unique: frozenset[str] = frozenset()
    """Entities whose rows cannot wait for each other's values."""
    failures: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refs: list[dict[str, Any]] = field(default_factory=list)
    few: bool = True
    """Whether its keys are few enough for one function."""

    def fail(self, function: str, kind: str, says: str, times: int = 1000, **when: Any) -> Scenario:
        failure = {"kind": kind, "says": says, "times": times, "when": when}
        self.failures.setdefault(function, []).append(failure)
        return self

    def parts(self) -> dict[str, Any]:
        flat = [self._task(entity) for wave in self.waves for entity in wave]
        led = set(self.after.values())
        tasks = [[self._task(entity) for entity in wave if entity not in led] for wave in self.waves]
        waves = [wave for wave in tasks if wave]
        for entity, n in self.ends.items():
            waves[n].insert(0, {"run_id": self.run_id, "entity": entity, "then": None, "portion": "end"})
        plan = {"run_id": self.run_id, "profile": self.profile, "waves": waves, "entities": flat}
        planned = {
            task["entity"]: task
            | {
                "batches": self.batches.get(task["entity"], 1),
                "bucket": "data",
                "settles": task["entity"] not in self.only_ids_unique,
                "manifest": "lost" if task["entity"] in self.lost_manifests else self.key(task["entity"]),
            }
            for task in flat
        }
        report = {"run_id": self.run_id, "status": self.status, "report": "s3://data/r", "summary": self.summary}
        parts: dict[str, dict[str, Any]] = {
            "sync_keys": {"answers": [self._synced(report)]},
            "plan_run": {"answers": [plan]},
            "plan_entity": {"by_entity": planned},
            # Larger than a state could carry 2,100 times.
            "sync_batch": {"answers": [{"read": 5_000, "padding": "x" * 500}]},
            "settle_uniques": {"answers": [{"settled": 2, "padding": "x" * 500}]},
            "link_references": {"answers": [{"linked": 500, "more": n > 1} for n in range(self.link_calls, 0, -1)]},
            "reconcile_entity": {"by_entity": {t["entity"]: self._reconciled(t, of="segments") for t in flat}},
            "compare_segment": {"answers": [{"suspected": 1}]},
            "confirm_differences": {"by_entity": {t["entity"]: self._reconciled(t, of="heal") for t in flat}},
            "propagate_deletes": {"answers": [{"more": n > 1} for n in range(self.delete_calls, 0, -1)]},
            "recheck_entity": {"answers": [{"healed": 1, "persisted": 0}]},
            "verify_entity": {
                "answers": [{"more": n > 1, "padding": "x" * 500} for n in range(self.verify_calls, 0, -1)]
            },
            "report_run": {"answers": [report]},
            "rollback_run": {"answers": [{"more": n > 1} for n in range(self.settle_calls, 0, -1)]},
            "record_failure": {"answers": [None]},
        }
        for function, failures in self.failures.items():
            parts[function]["failures"] = failures
        return parts

    def _task(self, entity: str) -> dict[str, Any]:
        following = self.after.get(entity)
        then = self._task(following) if following else None
        portion = "rows" if entity in self.ends else "whole"
        return {"run_id": self.run_id, "entity": entity, "then": then, "portion": portion}

    @property
    def given(self) -> dict[str, Any]:
        """The input of the execution."""
        return {**INPUT, "profile": self.profile, **({"refs": self.refs} if self.refs else {})}

    def _synced(self, report: dict[str, Any]) -> dict[str, Any]:
        if self.few:
            return {"run_id": self.run_id, "whole": False, "why": "", "outcome": report, "request": None}
        return {"run_id": self.run_id, "whole": True, "why": "too_many", "outcome": None, "request": self.given}

    def _reconciled(self, task: dict[str, Any], of: str) -> dict[str, Any]:
        """What is to be done next: the entity's segments if it has any, else what heals it."""
        entity = task["entity"]
        segments = self.segments.get(entity, 0) if of == "segments" else 0
        return task | {
            "segments": segments, "batches": 0 if segments else self.heals.get(entity, 0), "bucket": "data",
            "manifest": self.key(f"{entity}.segments" if segments else f"{entity}.heal"),
        }  # fmt: skip

    def manifests(self) -> dict[str, list[dict[str, Any]]]:
        """Every manifest of the run by its key."""
        found = {self.key(entity): self.manifest(entity) for wave in self.waves for entity in wave}
        found |= {self.key(f"{entity}.heal"): self._heals(entity) for entity in self.heals}
        found |= {self.key(f"{entity}.segments"): self._segments(entity) for entity in self.segments}
        return found

    def _heals(self, entity: str) -> list[dict[str, Any]]:
        task = {"run_id": self.run_id, "entity": entity, "source": "main", "purpose": "heal"}
        return [task | {"lo": n, "hi": n + 1, "buckets": [[n, n]]} for n in range(self.heals[entity])]

    def _segments(self, entity: str) -> list[dict[str, Any]]:
        task = {"run_id": self.run_id, "entity": entity, "source": "main"}
        return [task | {"n": n, "lo": None, "hi": None} for n in range(self.segments[entity])]

    def key(self, entity: str) -> str:
        return f"manifests/{self.run_id}/{entity}.json"

    def manifest(self, entity: str) -> list[dict[str, Any]]:
        return [
            {"run_id": self.run_id, "entity": entity, "source": "main", "lo": n, "hi": n + 1, "buckets": [[n, n]]}
            for n in range(self.batches.get(entity, 1))
        ]


@dataclass(frozen=True)
class Ended:
    """How an execution ended, and every call of its functions in order."""

    execution: dict[str, Any]
    calls: list[tuple[str, dict[str, Any]]]
    history: list[dict[str, Any]]

    @property
    def status(self) -> str:
        return str(self.execution["status"])

    @property
    def states(self) -> list[str]:
        """The states outside of maps, in the order in which they were entered."""
        details = (event.get("stateEnteredEventDetails") for event in self.history)
        return [entered["name"] for entered in details if entered]

    def asked(self, function: str, **of: Any) -> list[dict[str, Any]]:
        """The events that a function was given, those with these fields."""
        return [
            event
            for name, event in self.calls
            if name == function and all(event.get(field) == value for field, value in of.items())
        ]

    def first(self, function: str, **of: Any) -> int:
        return next(i for i, (name, e) in enumerate(self.calls) if name == function and e == e | of)

    def last(self, function: str, **of: Any) -> int:
        return max(i for i, (name, e) in enumerate(self.calls) if name == function and e == e | of)


class Stage:
    """The deployed definition, unmodified, with an actor for each of its functions.

    Whatever the emulator plays here, the interpreter of the other tests plays too, and must do the same.
    """

    def __init__(self, client: Callable[[str], Any], folder: Path) -> None:
        self._client = client
        self._scenario = folder / "scenario.json"
        self._calls = folder / "calls.jsonl"
        known = deployed.substitutions()
        arns = {name: self._actor(value) for name, value in known.items() if name.endswith("Function")}
        definition = asl.load(deployed.definition(), known | arns | {"RetryDelaySeconds": "1"})
        self.machine = client("stepfunctions").create_state_machine(
            name="sync-run", definition=json.dumps(definition), roleArn=ROLE
        )["stateMachineArn"]
        client("s3").create_bucket(Bucket="data")

    def play(self, scenario: Scenario) -> Ended:
        """Run the scenario to its end."""
        self._scenario.write_text(json.dumps(scenario.parts()), "utf-8")
        self._calls.write_text("", "utf-8")
        for key, tasks in scenario.manifests().items():
            self._client("s3").put_object(Bucket="data", Key=key, Body=json.dumps(tasks).encode())
        states = self._client("stepfunctions")
        arn = states.start_execution(
            stateMachineArn=self.machine, name=scenario.run_id, input=json.dumps(scenario.given)
        )["executionArn"]
        execution = self._until_ended(arn)
        history = states.get_execution_history(executionArn=arn, maxResults=1_000)["events"]
        ended = Ended(execution, _calls(self._calls), history)
        assert _traced(ended) == _traced(self._played(scenario)), "the interpreter has played it otherwise"
        return ended

    def _played(self, scenario: Scenario) -> Ended:
        """The same scenario by the interpreter; its history is its states."""
        calls = self._calls.with_suffix(".played")
        calls.write_text("", "utf-8")
        manifests = scenario.manifests()
        execution = Execution(deployed.flow(), scenario.run_id, scenario.given, lambda bucket, key: manifests[key])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SCENARIO", str(self._scenario))
            patch.setenv("CALLS", str(calls))
            patch.setattr(actor, "end", _die)
            conduct(execution, _act)
        told = {"status": execution.status, "error": execution.error, "cause": execution.cause}
        return Ended(told, _calls(calls), [_entered(name) for name in execution.states])

    def outputs_of_batches(self) -> list[str]:
        """What every batch of every distributed map so far handed back to its map."""
        states = self._client("stepfunctions")
        found: list[str] = []
        for execution in states.list_executions(stateMachineArn=self.machine)["executions"]:
            runs = states.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
            for run in runs:
                for page in states.get_paginator("list_executions").paginate(mapRunArn=run["mapRunArn"]):
                    for child in page["executions"]:
                        found.append(str(states.describe_execution(executionArn=child["executionArn"]).get("output")))
        return found

    def _until_ended(self, arn: str) -> dict[str, Any]:
        states = self._client("stepfunctions")
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            told: dict[str, Any] = states.describe_execution(executionArn=arn)
            if told["status"] != "RUNNING":
                return told
            time.sleep(0.05)
        raise TimeoutError(arn)

    def _actor(self, name: str) -> str:
        blob = io.BytesIO()
        with zipfile.ZipFile(blob, "w") as archive:
            archive.write(ACTOR, "app.py")
        made = self._client("lambda").create_function(
            FunctionName=name,
            Runtime=f"python{Host.this().python}",
            Handler="app.handler",
            Role=ROLE,
            Code={"ZipFile": blob.getvalue()},
            Timeout=30,
            Environment={"Variables": {"SCENARIO": str(self._scenario), "CALLS": str(self._calls)}},
        )
        return str(made["FunctionArn"])


def _traced(ended: Ended) -> Any:
    """What both who play a scenario must have in common: states, calls in their order, and the end.

    The order of an entity's calls is that of the first of each function: batches are carried side by side.
    """
    calls = [(function, _plain(event)) for function, event in ended.calls]
    order: dict[str, list[str]] = {}
    for function, event in calls:
        mine = order.setdefault(event.get("entity", ""), [])
        if function not in mine:
            mine.append(function)
    end = (ended.status, ended.execution.get("error") or "", _plain(ended.execution.get("cause") or ""))
    return ended.states, sorted(json.dumps(call, sort_keys=True) for call in calls), order, end


def _plain(value: Any) -> Any:
    """Without what Lambda adds to an error: where it was raised, and in which request."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, str) and value.startswith("{"):
        error = json.loads(value)
        return {name: error[name] for name in ("errorType", "errorMessage")}
    return value


def _calls(file: Path) -> list[tuple[str, dict[str, Any]]]:
    return [tuple(json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def _entered(name: str) -> dict[str, Any]:
    return {"stateEnteredEventDetails": {"name": name}}


def _die() -> None:
    raise died()


def _act(delivery: Delivery) -> Any:
    try:
        return actor.handler(delivery.payload, FakeContext(function_name=delivery.function))
    except (actor.TransientError, actor.PermanentError) as error:
        raise raised(type(error).__name__, str(error)) from error


def client_for(endpoint: str) -> Callable[[str], Any]:
    return lambda service: deploy.client(service, endpoint)
