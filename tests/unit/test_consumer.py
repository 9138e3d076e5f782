"""The border of the queue functions: what fails stays in the queue alone, and comes back later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from hybrid_sync.consumer import all_messages, each_message
from hybrid_sync.contracts import FailureMessage
from hybrid_sync.errors import PermanentError, RecordsStillFail, TargetUnavailable, TransientError
from hybrid_sync.metering import MeasuredCall
from tests.unit.lambdas import FakeContext


def record(number: int, body: str | None = None, received: int = 1) -> dict[str, Any]:
    message = FailureMessage(run_id="weekly-1", entity="orders", source="main", reason="x", keys=((number,),))
    return {
        "messageId": f"m{number}",
        "receiptHandle": f"r{number}",
        "body": message.model_dump_json() if body is None else body,
        "attributes": {"ApproximateReceiveCount": str(received)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:failed",
        "awsRegion": "us-east-1",
    }


def left(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_only_what_fails_stays_and_it_is_postponed_by_its_count() -> None:
    postponed: list[tuple[str, int]] = []
    done: list[int] = []

    @each_message(FailureMessage, postpone=lambda receipt, count: postponed.append((receipt, count)))
    def handler(message: FailureMessage) -> None:
        [[number]] = message.keys
        if number % 2:
            raise RecordsStillFail("1 records failed again.")
        done.append(number)

    answer = handler({"Records": [record(n, received=n) for n in range(1, 5)]}, FakeContext())
    assert left(answer) == ["m1", "m3"]
    assert postponed == [("r1", 1), ("r3", 3)]
    assert done == [2, 4]


def test_when_all_fail_all_stay_and_the_function_itself_does_not_fail() -> None:
    @each_message(FailureMessage, postpone=lambda receipt, count: None)
    def handler(message: FailureMessage) -> None:
        raise KeyError("anna@example.org")

    assert left(handler({"Records": [record(1), record(2)]}, FakeContext())) == ["m1", "m2"]


@pytest.mark.parametrize("body", ["not JSON", "{}", json.dumps({"run_id": 1})])
def test_a_body_that_is_no_message_stays_until_it_is_given_up_and_counted(body: str) -> None:
    seen: list[FailureMessage] = []
    counted: list[int] = []

    @each_message(FailureMessage, postpone=lambda receipt, count: None)
    def each(message: FailureMessage) -> None:
        seen.append(message)

    @all_messages(FailureMessage)
    def together(messages: Sequence[FailureMessage], junk: int) -> None:
        seen.extend(messages)
        counted.append(junk)

    for handler, stay in ((each, ["m1"]), (together, [])):
        seen.clear()
        assert left(handler({"Records": [record(1, body), record(2)]}, FakeContext())) == stay
        assert [message.keys for message in seen] == [((2,),)]
    assert counted == [1]


def test_messages_that_come_together_are_handled_together() -> None:
    calls: list[int] = []

    @all_messages(FailureMessage)
    def handler(messages: Sequence[FailureMessage], junk: int) -> None:
        calls.append(len(messages))

    assert left(handler({"Records": [record(n) for n in range(7)]}, FakeContext())) == []
    assert calls == [7]


def test_a_failure_of_the_whole_brings_all_back() -> None:
    @all_messages(FailureMessage)
    def handler(messages: Sequence[FailureMessage], junk: int) -> None:
        raise TargetUnavailable("The target is away.")

    with pytest.raises(TransientError):
        handler({"Records": [record(1)]}, FakeContext())


def test_an_event_without_records_is_permanent() -> None:
    @all_messages(FailureMessage)
    def handler(messages: Sequence[FailureMessage], junk: int) -> None:
        return None

    with pytest.raises(PermanentError):
        handler({}, FakeContext())


def test_the_witness_hears_of_each_run_also_when_its_messages_fail() -> None:
    heard: list[tuple[str, int]] = []

    def record_call(call: MeasuredCall, *, now: bool) -> None:
        heard.append((call.run_id, call.calls))

    @each_message(FailureMessage, postpone=lambda receipt, count: None, record_call=record_call)
    def failing(message: FailureMessage) -> None:
        raise RecordsStillFail("1 records failed again.")

    @all_messages(FailureMessage, record_call=record_call)
    def together(messages: Sequence[FailureMessage], junk: int) -> None:
        return None

    for handler in (failing, together):
        handler({"Records": [record(1), record(2)]}, FakeContext())
    assert heard == [("weekly-1", 1), ("weekly-1", 1)]
