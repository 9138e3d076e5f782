"""The interpreter understands the state machine file in full, and refuses whatever it does not know."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hybrid_sync_cli.flow.data import StateError, Unknown, template
from hybrid_sync_cli.flow.definition import parse
from hybrid_sync_cli.flow.deployed import definition, flow, parsed, substitutions
from tests.checks import asl

Change = Callable[[dict[str, Any]], Any]


def deployed() -> dict[str, Any]:
    return asl.load(definition(), substitutions())


def waves(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["States"]["Waves"]
    return found


def entity(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = waves(d)["ItemProcessor"]["States"]["Entities"]["ItemProcessor"]["States"]
    return found


def batch(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = entity(d)["Batches"]["ItemProcessor"]["States"]
    return found


def retrier(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["States"]["PlanRun"]["Retry"][0]
    return found


def payload(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["States"]["PlanRun"]["Parameters"]["Payload"]
    return found


def rule(d: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = d["States"]["AnyLinksLeft"]["Choices"][0]
    return found


def test_the_deployed_file_is_understood_and_parsed_once() -> None:
    assert flow() is flow()
    assert flow().machine.start == "ChooseWay"
    assert flow().seconds == 86_400


UNKNOWN: dict[str, Change] = {
    "a language": lambda d: d.update(QueryLanguage="JSONata"),
    "a version": lambda d: d.update(Version="1.0"),
    "a type of state": lambda d: d["States"].update(Pause={"Type": "Wait", "Seconds": 1, "Next": "PlanRun"}),
    "branches side by side": lambda d: d["States"].update(Both={"Type": "Parallel", "Branches": [], "End": True}),
    "a field of a task": lambda d: d["States"]["PlanRun"].update(HeartbeatSeconds=10),
    "an input path": lambda d: d["States"]["PlanRun"].update(InputPath="$.request"),
    "a field of a map": lambda d: waves(d).update(ItemSelector={"a.$": "$"}),
    "a field of a choice": lambda d: d["States"]["Reconciles"].update(OutputPath="$.profile"),
    "a result that is said": lambda d: d["States"]["DescribeEnd"].update(Result={}),
    "an output of a success": lambda d: d["States"]["RunSucceeded"].update(OutputPath="$.status"),
    "a field of a processor": lambda d: waves(d)["ItemProcessor"].update(Comment="one"),
    "an express child": lambda d: entity(d)["Batches"]["ItemProcessor"]["ProcessorConfig"].update(
        ExecutionType="EXPRESS"
    ),
    "another service": lambda d: d["States"]["PlanRun"].update(Resource="arn:aws:states:::sqs:sendMessage"),
    "another way to invoke": lambda d: d["States"]["PlanRun"]["Parameters"].update(InvocationType="Event"),
    "a callback": lambda d: d["States"]["PlanRun"].update(Resource="arn:aws:states:::lambda:invoke.waitForTaskToken"),
    "a reader": lambda d: entity(d)["Batches"]["ItemReader"].update(Resource="arn:aws:states:::s3:listObjectsV2"),
    "a form of manifest": lambda d: entity(d)["Batches"]["ItemReader"]["ReaderConfig"].update(InputType="CSV"),
    "some tolerance": lambda d: entity(d)["Batches"].update(ToleratedFailurePercentage=50),
    "a number that is a text": lambda d: entity(d)["Batches"].update(MaxConcurrency="4"),
    "a number that is a truth": lambda d: entity(d)["Batches"].update(MaxConcurrency=True),
    "a field of a retrier": lambda d: retrier(d).update(Jitter=1),
    "another jitter": lambda d: retrier(d).update(JitterStrategy="NONE"),
    "an error of Step Functions": lambda d: retrier(d).update(ErrorEquals=["States.Timeouts"]),
    "all errors and one more": lambda d: retrier(d).update(ErrorEquals=["States.ALL", "TransientError"]),
    "a field of a catcher": lambda d: d["States"]["PlanRun"]["Catch"][0].update(Assign={}),
    "a place below a place": lambda d: d["States"]["PlanRun"]["Catch"][0].update(ResultPath="$.caught.error"),
    "a comparison": lambda d: rule(d).update(StringMatches="a*"),
    "two comparisons": lambda d: rule(d).update(StringEquals="a"),
    "no comparison": lambda d: rule(d).pop("BooleanEquals"),
    "rules together": lambda d: d["States"]["AnyLinksLeft"]["Choices"].append({"And": [], "Next": "Reconciles"}),
    "no default": lambda d: d["States"]["Reconciles"].pop("Default"),
    "the context": lambda d: payload(d).update({"run_id.$": "$$.Execution.Id"}),
    "the context in an item that is an execution": lambda d: batch(d)["SyncBatch"]["Parameters"].update(
        {"Payload.$": "$$.Execution.Name"}
    ),
    "an index": lambda d: waves(d).update(ItemsPath="$.waves[0]"),
    "a filter": lambda d: waves(d).update(ItemsPath="$.waves[?(@.entity)]"),
    "a recursive path": lambda d: waves(d).update(ItemsPath="$..entity"),
    "an intrinsic function": lambda d: payload(d).update({"run_id.$": "States.UUID()"}),
    "a nested intrinsic function": lambda d: payload(d).update({"run_id.$": "States.Format('{}', States.UUID())"}),
    "a format with too few values": lambda d: payload(d).update({"run_id.$": "States.Format('{} {}', $.a)"}),
    "a format with an escape": lambda d: payload(d).update({"run_id.$": "States.Format('\\\\{} {}', $.a)"}),
    "a path without its mark": lambda d: payload(d).update({"run_id": "$.a"}),
    "an expression": lambda d: payload(d).update({"run_id": "{% $states.input %}"}),
    "a list": lambda d: payload(d).update({"run_id": [1]}),
    "a state that is not there": lambda d: d["States"]["PlanRun"].update(Next="Nowhere"),
    "a state of another map": lambda d: batch(d)["SyncBatch"]["Catch"][0].update(Next="EntityDone"),
    "no end": lambda d: entity(d)["EntityDone"].pop("End"),
    "an end and more": lambda d: entity(d)["EntityDone"].update(Next="AnyBatches"),
}


@pytest.mark.parametrize("change", UNKNOWN)
def test_the_interpreter_refuses(change: str) -> None:
    changed = copy.deepcopy(deployed())
    UNKNOWN[change](changed)
    assert changed != deployed()
    with pytest.raises(Unknown):
        parse(changed)


def test_a_placeholder_without_a_value_is_refused() -> None:
    with pytest.raises(Unknown):
        parsed(definition().replace("${BatchConcurrency}", "${Batches}"))


def test_a_payload_is_made_of_paths_formats_and_constants() -> None:
    read = template(
        {
            "a.$": "$.x.y",
            "b": {"c.$": "$$.Execution.Name", "d": None},
            "e.$": "States.Format('{}: {}..{}', $.s, $.n, $.x)",
        },
        "here",
    )
    assert read({"x": {"y": [1]}, "s": "text", "n": None}, "run-1") == {
        "a": [1], "b": {"c": "run-1", "d": None}, "e": 'text: null..{"y": [1]}',
    }  # fmt: skip
    with pytest.raises(StateError, match=r"States\.Runtime"):
        read({"x": {}}, "run-1")
