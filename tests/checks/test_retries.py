"""What is retried stands once, in `hybrid_sync.retries`; the state machine, the queue and the clients agree with it."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_sync.aws import client
from hybrid_sync.failures.queue import SqsFailureQueue
from hybrid_sync.retries import (
    AWAY,
    AWAY_ERRORS,
    AWS_CALL,
    CACHE_ROUND,
    CONTENDED_PAGE,
    RECORD,
    SCHEDULE,
    STEP,
    STEP_ERRORS,
    THROTTLED,
    THROTTLED_ERRORS,
    Retry,
)
from tests.checks import asl, templates

TEMPLATE = templates.load()
MACHINE = templates.resources(TEMPLATE, "AWS::Serverless::StateMachine")["SyncRun"]
DEFAULTS = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
AWAY_RETRIES = MACHINE["DefinitionSubstitutions"]["RetriesOfAway"]
RETRIERS = [
    (name, state["Retry"])
    for name, state in asl.tasks(
        asl.load(
            asl.STATE_MACHINE.read_text("utf-8"),
            {"Retries": "2", "RetriesOfAway": AWAY_RETRIES, "RetryDelaySeconds": "20"},
        )
    )
]


def test_the_parameters_of_the_deployment_default_to_the_table() -> None:
    assert int(DEFAULTS["Attempts"]) == STEP.attempts
    assert DEFAULTS["RetryDelaySeconds"] == STEP.first_delay == RECORD.first_delay
    assert MACHINE["DefinitionSubstitutions"]["Retries"] == {
        "Fn::FindInMap": ["RetriesOf", {"Ref": "Attempts"}, "Count"]
    }
    assert MACHINE["DefinitionSubstitutions"]["RetryDelaySeconds"] == {"Ref": "RetryDelaySeconds"}


def written(retry: Retry, errors: tuple[str, ...]) -> dict[str, Any]:
    return {
        "ErrorEquals": list(errors),
        "IntervalSeconds": retry.first_delay,
        "BackoffRate": retry.factor,
        "MaxAttempts": retry.attempts - 1,
        "MaxDelaySeconds": retry.longest_delay,
        "JitterStrategy": "FULL",
    }


@pytest.mark.parametrize(("state", "retriers"), RETRIERS, ids=[name for name, _ in RETRIERS])
def test_a_state_is_retried_as_the_table_says(state: str, retriers: list[dict[str, Any]]) -> None:
    """Each retrier counts for itself, so waiting for capacity uses up no attempt."""
    assert retriers == [written(THROTTLED, THROTTLED_ERRORS), written(STEP, STEP_ERRORS), written(AWAY, AWAY_ERRORS)]


def test_no_error_is_retried_in_two_ways_and_waiting_for_capacity_takes_a_quarter_of_an_hour() -> None:
    assert len({*STEP_ERRORS, *THROTTLED_ERRORS, *AWAY_ERRORS}) == len(STEP_ERRORS + THROTTLED_ERRORS + AWAY_ERRORS)
    waited = sum(THROTTLED.delay(failed) for failed in range(1, THROTTLED.attempts))
    assert 900 <= waited <= 1200


def test_a_database_that_is_away_is_waited_for_as_long_as_a_weekly_run_may_take() -> None:
    waited = sum(AWAY.delay(failed) for failed in range(1, AWAY.attempts))
    assert waited == int(DEFAULTS["WeeklyDeadlineSeconds"])


def test_the_queue_delivers_a_message_as_often_as_the_table_says() -> None:
    queue = templates.resources(TEMPLATE, "AWS::SQS::Queue")["FailedRecordsQueue"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == RECORD.attempts
    assert queue["DelaySeconds"] == {"Ref": "RetryDelaySeconds"}


def test_a_message_is_hidden_twice_as_long_each_time_and_never_longer_than_sqs_can() -> None:
    hidden: list[int] = []

    class Sqs:
        def change_message_visibility(self, **asked: Any) -> None:
            hidden.append(asked["VisibilityTimeout"])

    queue = SqsFailureQueue("url", Sqs())
    for count in (1, 2, 3, 40):
        queue.postpone("receipt", count)
    assert hidden == [20, 40, 80, 12 * 60 * 60]


def test_a_scheduled_run_is_started_as_often_as_the_table_says() -> None:
    for name in ("Weekly", "Daily"):
        event = templates.functions(templates.load())["AdmitRuns"]["Events"][name]
        assert event["Properties"]["RetryPolicy"]["MaximumRetryAttempts"] == SCHEDULE.attempts - 1


def test_a_client_gives_up_where_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert client("sqs").meta.config.retries == {"mode": "standard", "total_max_attempts": AWS_CALL.attempts}


def test_what_is_repeated_within_a_step_ends_before_the_step_is_repeated() -> None:
    rounds = sum(CACHE_ROUND.delay(failed) for failed in range(1, CACHE_ROUND.attempts))
    assert rounds < STEP.first_delay
    # A page's row in the way costs itself in the step's last attempt: later it would cost the batch.
    assert CONTENDED_PAGE.attempts == STEP.attempts
