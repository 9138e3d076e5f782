"""While a person has paused, the queue of failed records rests, too: nothing is read or lost, and it goes on."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from hybrid_sync.admission.slots import SlotStore
from tests.integration.deployment import Deployment
from tests.integration.test_events import sample
from tests.integration.test_permissions import queue_event

RESTORED = "by ann since 2026-11-29 01:00 UTC, legacy is being restored"
RUNS = "select count(*) from hybrid_sync.run where trigger = 'retry'"


def retries(deployment: Deployment) -> int:
    with psycopg.connect(deployment.target_dsn) as target:
        row = target.execute(RUNS).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def failing(deployment: Deployment) -> dict[str, Any]:
    """What the queue delivers about a row that no run could write, and that legacy, half restored, has not now."""
    with psycopg.connect(deployment.target_dsn) as target:
        target.execute(
            "insert into hybrid_sync.failed_record (entity, source, key, reason, first_run, last_run)"
            " values ('case_states', 'dispatch_state', '{59}', 'missing_parent', 'weekly-1', 'weekly-1')"
            " on conflict (entity, source, key) do update set status = 'open'"
        )
    event = sample("retry_failure")
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "3"  # the last one
    return event


def test_a_retry_waits_while_starts_are_paused_and_costs_no_attempt(
    deployment: Deployment, failing: dict[str, Any]
) -> None:
    slots = SlotStore("ControlTable", deployment.client("dynamodb"))
    asked = json.loads(failing["Records"][0]["body"])
    slots.pause(RESTORED)

    assert deployment.invoke("RetryFailure", failing) == {"batchItemFailures": []}

    assert retries(deployment) == 0
    waiting = queue_event(deployment, "FailedRecordsQueue")
    attributes = deployment.client("sqs").get_queue_attributes(
        QueueUrl=deployment.refs["FailedRecordsQueue"], AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )["Attributes"]
    assert waiting["Records"] == []
    assert attributes == {"ApproximateNumberOfMessagesDelayed": "1"}, "it comes back, and not at once"

    slots.pause("")
    deployment.invoke("RetryFailure", failing)
    assert retries(deployment) == 1
    assert asked["keys"] == [[59], [60]]


def test_whoever_cannot_know_whether_starts_are_paused_tries_nothing(
    deployment: Deployment, failing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = retries(deployment)
    monkeypatch.setitem(deployment.refs, "ControlTable", "gone")

    assert deployment.invoke("RetryFailure", failing) == {"batchItemFailures": []}
    assert retries(deployment) == before
