"""What must hold of the state machine, said as sentences about a definition; empty when all is well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from hybrid_sync_cli.flow.deployed import PLACEHOLDER as PLACEHOLDER
from hybrid_sync_cli.flow.deployed import STATE_MACHINE as STATE_MACHINE
from hybrid_sync_cli.flow.deployed import load as load

State = dict[str, Any]

TRANSIENT = {"TransientError", "ThrottledError", "AwayError"}
# Step Functions guide, "Error names" and "Lambda service exceptions"; Lambda's own names for a lost worker.
SERVICE = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ResourceNotReadyException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "States.Timeout",
}
CATCHABLE = {"States.ALL"}

_PATH = {"type": "string", "pattern": r"^\$"}
_PATH_OR_NULL = {"anyOf": [_PATH, {"type": "null"}]}
_COMMON: dict[str, Any] = {
    "Type": True,
    "Comment": {"type": "string"},
    "InputPath": _PATH_OR_NULL,
    "OutputPath": _PATH_OR_NULL,
}
_NEXT: dict[str, Any] = {"Next": {"type": "string"}, "End": {"const": True}}
_RESULT: dict[str, Any] = {
    "Parameters": {"type": "object"},
    "ResultSelector": {"type": "object", "minProperties": 1},
    "ResultPath": _PATH_OR_NULL,
}
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
_RETRY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxAttempts", "JitterStrategy"],
        "additionalProperties": False,
        "properties": {
            "ErrorEquals": _NAMES,
            "IntervalSeconds": {"type": "integer", "minimum": 1},
            "BackoffRate": {"type": "number", "minimum": 1},
            "MaxAttempts": {"type": "integer", "minimum": 0},
            "MaxDelaySeconds": {"type": "integer", "minimum": 1, "maximum": 31_622_400},
            "JitterStrategy": {"enum": ["FULL", "NONE"]},
        },
    },
}
_CATCH = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["ErrorEquals", "Next"],
        "additionalProperties": False,
        "properties": {"ErrorEquals": _NAMES, "ResultPath": _PATH_OR_NULL, "Next": {"type": "string"}},
    },
}
_KINDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "Task": (
        ["Resource"],
        _NEXT
        | _RESULT
        | {
            "Resource": {"type": "string", "pattern": "^arn:"},
            "TimeoutSeconds": {"type": "integer", "minimum": 1},
            "Retry": _RETRY,
            "Catch": _CATCH,
        },
    ),
    "Pass": ([], _NEXT | {"Parameters": {"type": "object"}, "Result": True, "ResultPath": _PATH_OR_NULL}),
    "Choice": (["Choices"], {"Choices": {"type": "array", "minItems": 1}, "Default": {"type": "string"}}),
    "Map": (
        ["ItemProcessor"],
        _NEXT
        | _RESULT
        | {
            "ItemProcessor": {
                "type": "object",
                "required": ["ProcessorConfig", "StartAt", "States"],
                "additionalProperties": False,
                "properties": {
                    "ProcessorConfig": {"type": "object"},
                    "StartAt": True,
                    "States": {"type": "object"},
                },
            },
            "ItemReader": {"type": "object", "required": ["Resource", "Parameters"]},
            "ItemSelector": {"type": "object"},
            "ItemsPath": _PATH,
            "Label": {"type": "string", "maxLength": 40},
            "MaxConcurrency": {"type": "integer", "minimum": 0},
            "ToleratedFailurePercentage": {"type": "number", "minimum": 0, "maximum": 100},
            "Retry": _RETRY,
            "Catch": _CATCH,
        },
    ),
    "Succeed": ([], {}),
    "Fail": (
        [],
        {"Error": {"type": "string"}, "ErrorPath": _PATH, "Cause": {"type": "string"}, "CausePath": _PATH},
    ),
}


@dataclass(frozen=True)
class Machine:
    """A definition or the processor of a map: states that can name each other, and nothing else."""

    place: str
    start: str
    states: dict[str, State]


def problems(definition: dict[str, Any]) -> list[str]:
    """Everything that is wrong with a definition."""
    found: list[str] = []
    for machine in machines(definition):
        found += _shape(machine) + _targets(machine) + _reachability(machine)
        for name, state in machine.states.items():
            found += [f"{machine.place}{name}: {problem}" for problem in _errors_handled(machine, state)]
    names = [name for machine in machines(definition) for name in machine.states]
    found += [f"{name}: two states have this name" for name in sorted({n for n in names if names.count(n) > 1})]
    retries = {str(state["Retry"]) for _, state in tasks(definition) if "Retry" in state}
    if len(retries) > 1:
        found.append("the tasks' Retry differ: write the same in all of them")
    return found


def machines(definition: dict[str, Any], place: str = "") -> Iterator[Machine]:
    states: dict[str, State] = definition.get("States", {})
    yield Machine(place, str(definition.get("StartAt")), states)
    for name, state in states.items():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"], f"{place}{name}/")


def tasks(definition: dict[str, Any]) -> Iterator[tuple[str, State]]:
    for machine in machines(definition):
        for name, state in machine.states.items():
            if state.get("Type") == "Task":
                yield name, state


def successors(state: State) -> Iterator[str]:
    """Every state that can follow."""
    if "Next" in state:
        yield state["Next"]
    if "Default" in state:
        yield state["Default"]
    for choice in state.get("Choices", ()):
        if "Next" in choice:
            yield choice["Next"]
    for catcher in state.get("Catch", ()):
        yield catcher["Next"]


def _shape(machine: Machine) -> list[str]:
    found: list[str] = []
    for name, state in machine.states.items():
        kind = state.get("Type")
        if kind not in _KINDS:
            found.append(f"{machine.place}{name}: there is no state type {kind}")
            continue
        required, fields = _KINDS[kind]
        schema = {
            "type": "object",
            "required": required,
            "properties": _COMMON | fields,
            "additionalProperties": False,
        }
        errors = Draft202012Validator(schema).iter_errors(state)
        found += [f"{machine.place}{name}: {error.message}" for error in errors]
        if kind in ("Task", "Pass", "Map") and ("Next" in state) == ("End" in state):
            found.append(f"{machine.place}{name}: write either Next or End")
        if kind == "Choice":
            found += [
                f"{machine.place}{name}: a choice without Next" for c in state.get("Choices", ()) if "Next" not in c
            ]
    return found


def _targets(machine: Machine) -> list[str]:
    named = [("StartAt", machine.start)]
    named += [(name, target) for name, state in machine.states.items() for target in successors(state)]
    return [
        f"{machine.place}{name}: there is no state {target}" for name, target in named if target not in machine.states
    ]


def _reachability(machine: Machine) -> list[str]:
    seen: set[str] = set()
    waiting = [machine.start]
    while waiting:
        name = waiting.pop()
        if name in machine.states and name not in seen:
            seen.add(name)
            waiting += successors(machine.states[name])
    found = [f"{machine.place}{name}: no state leads here" for name in machine.states if name not in seen]
    ends = {
        name for name, state in machine.states.items() if state.get("End") or state.get("Type") in ("Succeed", "Fail")
    }
    # Backwards from the ends: a state that is not met can never finish.
    ending: set[str] = set()
    while ends - ending:
        ending |= ends
        ends = {name for name, state in machine.states.items() if set(successors(state)) & ending}
    found += [
        f"{machine.place}{name}: no end can be reached from here" for name in machine.states if name not in ending
    ]
    return found


def _errors_handled(machine: Machine, state: State) -> list[str]:
    found: list[str] = []
    kind = state.get("Type")
    if kind == "Task":
        found += [f"a task needs {field}" for field in ("TimeoutSeconds", "Retry", "Catch") if field not in state]
    if kind == "Map" and "ItemReader" in state and "Catch" not in state:
        found.append("a map that reads S3 needs Catch")
    if kind == "Map" and not machine.place and "Catch" not in state:
        found.append("a map of the run needs Catch, or no report is written when it fails")
    retried = [name for retrier in state.get("Retry", ()) for name in retrier.get("ErrorEquals", ())]
    found += [
        f"nothing is called {name}, so it is never retried" for name in retried if name not in TRANSIENT | SERVICE
    ]
    if "Retry" in state and TRANSIENT - set(retried):
        found.append("TransientError, ThrottledError and AwayError must be retried")
    caught = [name for catcher in state.get("Catch", ()) for name in catcher.get("ErrorEquals", ())]
    found += [f"catch States.ALL, not {name}" for name in caught if name not in CATCHABLE]
    for catcher in state.get("Catch", ()):
        if "ResultPath" not in catcher and machine.states.get(catcher["Next"], {}).get("Type") == "Task":
            found.append(f"its Catch hands {catcher['Next']} the error alone: give it a ResultPath")
    return found
