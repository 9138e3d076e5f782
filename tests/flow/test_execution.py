"""An execution does what the Amazon States Language says, in virtual time, in whatever order it is conducted."""

from __future__ import annotations

from typing import Any

import yaml

from hybrid_sync_cli.flow.data import StateError
from hybrid_sync_cli.flow.definition import parse
from hybrid_sync_cli.flow.execution import Delivery, Execution
from hybrid_sync_cli.flow.states import Flow
from tests.flow.conduct import conduct, died, raised

LAMBDA = "arn:aws:states:::lambda:invoke"
RETRY = {
    "ErrorEquals": ["TransientError", "Runtime.ExitError"], "IntervalSeconds": 20, "BackoffRate": 3, "MaxAttempts": 2,
    "MaxDelaySeconds": 30, "JitterStrategy": "FULL",
}  # fmt: skip


def task(then: str | None, **more: Any) -> dict[str, Any]:
    end: dict[str, Any] = {"Next": then} if then else {"End": True}
    parameters = {"FunctionName": "work", "Payload.$": "$"}
    return {"Type": "Task", "Resource": LAMBDA, "Parameters": parameters, "TimeoutSeconds": 5, **end, **more}


def machine(**states: Any) -> Flow:
    return parse({"StartAt": next(iter(states)), "States": states, "TimeoutSeconds": 100})


def inline(most: int = 3, **more: Any) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "One", "States": {"One": task(None)}}
    return {"Type": "Map", "ItemsPath": "$", "MaxConcurrency": most, "ItemProcessor": processor, "End": True, **more}


def distributed(**more: Any) -> dict[str, Any]:
    return {
        "Type": "Map", "Label": "Lines", "MaxConcurrency": 2, "ToleratedFailurePercentage": 100,
        "ItemReader": yaml.safe_load("""
            Resource: arn:aws:states:::s3:getObject
            ReaderConfig: {InputType: JSON}
            Parameters: {Bucket.$: $.bucket, Key.$: $.key}"""),
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Line", "States": {"Line": task(None, OutputPath="$.Payload")},
        },
        "End": True, **more,
    }  # fmt: skip


def begin(flow: Flow, given: Any, lines: list[Any] | None = None, **more: Any) -> Execution:
    def items(bucket: str, key: str) -> list[Any]:
        if lines is None:
            raise LookupError
        return lines

    return Execution(flow, "run-1", given, items, **more)


def echo(delivery: Delivery) -> Any:
    return delivery.payload


def test_results_are_selected_put_and_kept() -> None:
    selected = task("B", ResultSelector={"n.$": "$.Payload.n"}, ResultPath="$.first")
    dropped = task("C", ResultPath=None)
    flow = machine(A=selected, B=dropped, C=task("D", OutputPath="$.Payload"), D={"Type": "Pass", "End": True})
    done = conduct(begin(flow, {"n": 1, "x": 2}), echo)
    assert (done.status, done.output) == ("SUCCEEDED", {"n": 1, "x": 2, "first": {"n": 1}})
    assert done.states == ["A", "B", "C", "D"]
    assert conduct(begin(machine(A=task(None, OutputPath=None)), {"n": 1}), echo).output == {}


def test_an_error_is_retried_after_growing_delays_that_nobody_waits_for() -> None:
    seen: list[tuple[int, float]] = []

    def deliver(delivery: Delivery) -> Any:
        seen.append((delivery.attempt, execution.now))
        raise died()

    execution = begin(machine(A=task(None, Retry=[RETRY])), {})
    conduct(execution, deliver)
    assert seen == [(0, 0.0), (1, 20.0), (2, 50.0)]
    assert (execution.status, execution.error) == ("FAILED", "Runtime.ExitError")


def test_an_error_of_another_name_is_not_retried_but_caught() -> None:
    catch = [
        {"ErrorEquals": ["Other"], "Next": "A"},
        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": "B"},
    ]
    flow = machine(A=task(None, Retry=[RETRY], Catch=catch), B={"Type": "Pass", "End": True})

    def deliver(delivery: Delivery) -> Any:
        raise StateError("PermanentError", "no")

    done = conduct(begin(flow, {"n": 1}), deliver)
    assert done.output == {"n": 1, "caught": {"Error": "PermanentError", "Cause": "no"}}
    assert len([place for place in done.trace if place == ("A",)]) == 1


def test_nothing_catches_a_path_that_leads_nowhere() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    lost = task(None, Catch=catch, ResultSelector={"n.$": "$.Payload.missing"})
    done = conduct(begin(machine(A=lost, B={"Type": "Succeed"}), {}), echo)
    assert (done.status, done.error) == ("FAILED", "States.Runtime")


def test_choices_compare_values_of_their_own_type() -> None:
    rules = [
        {"Variable": "$.v", "NumericGreaterThan": 0, "Next": "Number"},
        {"Variable": "$.v", "BooleanEquals": True, "Next": "Truth"},
        {"Variable": "$.v", "StringEquals": "a", "Next": "Text"},
        {"Variable": "$.w", "IsPresent": True, "Next": "There"},
    ]
    ends = {name: {"Type": "Succeed"} for name in ("Number", "Truth", "Text", "There", "Else")}
    flow = machine(A={"Type": "Choice", "Choices": rules, "Default": "Else"}, **ends)

    def chosen(given: dict[str, Any]) -> str:
        return begin(flow, given).states[1]

    assert [chosen({"v": v}) for v in (1, 0, True, False, "a", "b", None)] == [
        "Number", "Else", "Truth", "Else", "Text", "Else", "Else"
    ]  # fmt: skip
    assert chosen({"v": None, "w": None}) == "There"
    assert begin(flow, {}).error == "States.Runtime"


def test_a_fail_state_ends_the_execution_with_its_words() -> None:
    said = begin(machine(A={"Type": "Fail", "ErrorPath": "$.code", "Cause": "why"}), {"code": "Lost"})
    assert (said.status, said.error, said.cause) == ("FAILED", "Lost", "why")


def test_items_are_ready_together_and_answered_in_any_order() -> None:
    execution = begin(machine(A=inline()), [1, 2, 3, 4])
    assert [delivery.payload for delivery in execution.ready] == [1, 2, 3]
    conduct(execution, lambda delivery: delivery.payload * 10, choose=lambda ready: ready[-1])
    assert [result["Payload"] for result in execution.output] == [10, 20, 30, 40]


def test_the_order_in_which_items_start_is_a_hook_that_maps_of_one_at_a_time_do_not_ask() -> None:
    def backwards(place: Any, items: int) -> range:
        return range(items - 1, -1, -1)

    asked: list[Any] = []
    for most in (3, 1):
        execution = begin(machine(A=inline(most)), [1, 2], order=backwards)
        conduct(execution, lambda delivery: asked.append(delivery.payload), choose=lambda ready: max(
            ready, key=lambda delivery: delivery.items
        ))  # fmt: skip
    assert asked == [2, 1, 1, 2]


def test_an_item_that_fails_ends_its_map_and_the_other_items() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "B"}]
    items = inline(Catch=catch)
    del items["End"]
    execution = begin(machine(A=items | {"Next": "B"}, B={"Type": "Succeed"}), [1, 2, 3])
    execution.fail(execution.ready[1], StateError("Broken", ""))
    assert (execution.status, execution.ready, execution.states) == ("SUCCEEDED", [], ["A", "B"])


def test_failed_lines_fail_no_distributed_map() -> None:
    def deliver(delivery: Delivery) -> Any:
        if delivery.payload == 2:
            raise raised("PermanentError", "no")
        return delivery.payload

    done = conduct(begin(machine(A=distributed()), {"bucket": "b", "key": "k"}, [1, 2, 3]), deliver)
    assert (done.status, done.output) == ("SUCCEEDED", [1, None, 3])
    assert conduct(begin(machine(A=distributed()), {"bucket": "b", "key": "k"}, []), deliver).output == []


def test_a_manifest_that_is_gone_fails_its_map() -> None:
    done = begin(machine(A=distributed()), {"bucket": "b", "key": "k"})
    assert (done.status, done.error) == ("FAILED", "States.ItemReaderFailed")


def test_a_delivery_may_come_twice_and_an_execution_may_be_stopped_and_gone_on_with() -> None:
    asked: list[str] = []

    def deliver(delivery: Delivery) -> Any:
        asked.append(delivery.state)
        return len(asked)

    execution = begin(machine(A=task("B", OutputPath="$.Payload"), B=task(None, OutputPath="$.Payload")), {})
    conduct(execution, deliver, times=lambda delivery: 2, until=lambda delivery: delivery.state == "B")
    assert (asked, execution.status, execution.ready[0].payload) == (["A", "A"], "RUNNING", 2)
    conduct(execution, deliver)
    assert (execution.status, execution.output) == ("SUCCEEDED", 3)


def test_an_aborted_execution_has_nothing_ready() -> None:
    execution = begin(machine(A=inline()), [1, 2])
    execution.abort()
    assert (execution.status, execution.ready) == ("ABORTED", [])


def test_an_execution_ends_at_its_time_limit() -> None:
    slow = RETRY | {"MaxAttempts": 9, "MaxDelaySeconds": 60}

    def deliver(delivery: Delivery) -> Any:
        raise died()

    done = conduct(begin(machine(A=task(None, Retry=[slow])), {}), deliver)
    assert (done.status, done.now > 100) == ("TIMED_OUT", True)
