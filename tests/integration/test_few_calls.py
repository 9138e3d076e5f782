"""A critical request for one row asks little of AWS and of the databases, from the authorizer to its report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.http.tokens import Tokens
from tests.engine.wait_counter import WaitCounter, Waits
from tests.integration.deployment import Deployment
from tests.integration.test_events import sample

# What DynamoDB, Step Functions and the others are asked for a request that finds a free slot; none of it twice in vain.
AUTHORIZE = {"dynamodb:GetItem": 1}
# Its job, who waits, a slot, the breakers, the start; and the secret, for the line of the audit trail behind it.
SERVE = {
    "dynamodb:Query": 2, "dynamodb:GetItem": 5, "dynamodb:PutItem": 2, "dynamodb:UpdateItem": 1,
    "states:StartExecution": 1, "secretsmanager:GetSecretValue": 1,
}  # fmt: skip
# Whether it holds a slot, in two reads whose order matters; the breakers; both secrets; who was erased; the report.
SYNC = {"dynamodb:GetItem": 3, "secretsmanager:GetSecretValue": 2, "s3:ListBucket": 1, "s3:PutObject": 3}


@dataclass(frozen=True)
class Way:
    """What one request has taken."""

    calls: dict[str, Counter[str]]
    legacy: Waits
    target: Waits
    outcome: dict[str, Any]


@pytest.fixture(scope="module")
def way(deployment: Deployment) -> Iterator[Way]:
    """The second request for a row that has changed; the first has noted the token's use for this hour.

    Every function of it starts anew.
    """
    _, token = Tokens("ControlTable", deployment.client("dynamodb")).create("test")
    legacy, target = _counting(deployment, "legacy_dsn"), _counting(deployment, "target_dsn")
    try:
        first = _accepted(deployment, token)
        _carried(deployment, first)
        _end(deployment, first)
        deployment.counted.clear()
        second = _accepted(deployment, token)
        legacy.take()
        target.take()
        outcome = _carried(deployment, second)
        yield Way(dict(deployment.counted), legacy.take(), target.take(), outcome)
    finally:
        legacy.close()
        target.close()


def _counting(deployment: Deployment, name: str) -> WaitCounter:
    """A proxy before the database; the deployment's secret leads through it."""
    secrets, secret = deployment.client("secretsmanager"), deployment.refs["ConnectionSecret"]
    held = json.loads(secrets.get_secret_value(SecretId=secret)["SecretString"])
    parts = conninfo_to_dict(held[name])
    counter = WaitCounter(str(parts["host"]), int(str(parts["port"])))
    held[name] = make_conninfo(held[name], host="127.0.0.1", port=counter.port)
    secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(held))
    return counter


def _accepted(deployment: Deployment, token: str) -> str:
    """A payment changes, and its change is asked for over HTTP; the run's id."""
    key = _changed(deployment)
    asked = sample("authorize_request") | {"multiValueHeaders": {"Authorization": [f"Bearer {token}"]}}
    answer = deployment.invoke("AuthorizeRequest", asked)
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    event = sample("api_post_sync")
    del event["headers"]["Idempotency-Key"], event["multiValueHeaders"]["Idempotency-Key"]
    event["body"] = json.dumps({"refs": [{"entity": "payments", "legacy_id": key}], "priority": "critical"})
    accepted = deployment.invoke("ServeApi", event)
    assert accepted["statusCode"] == 202, accepted["body"]
    return str(json.loads(accepted["body"])["run_id"])


def _carried(deployment: Deployment, run_id: str) -> dict[str, Any]:
    """What becomes of the run, whose execution has begun."""
    given = deployment.client("stepfunctions").describe_execution(executionArn=_execution(deployment, run_id))["input"]
    said = deployment.invoke("SyncKeys", {"run_id": run_id, "request": json.loads(given)})
    assert not said["whole"], said["why"]
    return dict(said["outcome"])


def _changed(deployment: Deployment) -> int:
    """The key of a payment that the target has, and that now is another one in legacy."""
    with psycopg.connect(deployment.target_dsn) as target:
        found = target.execute("select min(legacy_id) from payments where voided_at is null").fetchone()
    assert found is not None
    with psycopg.connect(deployment.legacy_dsn) as legacy:
        legacy.execute("update dispatch_payment set paid_price = paid_price + 1 where id = %s", found)
    return int(found[0])


def _execution(deployment: Deployment, run_id: str) -> str:
    return f"{str(deployment.refs['SyncRun']).replace(':stateMachine:', ':execution:')}:{run_id}"


def _end(deployment: Deployment, run_id: str) -> None:
    """Its slot is free again."""
    deployment.client("stepfunctions").stop_execution(executionArn=_execution(deployment, run_id))
    deployment.invoke("AdmitRuns", sample("execution_ended"))


def test_the_row_is_written_by_the_same_call_that_verifies_and_reports_it(way: Way) -> None:
    assert way.outcome["status"] == "succeeded"
    assert way.outcome["summary"]["updated"] == 1


def test_few_calls_of_aws_stand_between_the_request_and_its_report(way: Way) -> None:
    assert way.calls == {"AuthorizeRequest": AUTHORIZE, "ServeApi": SERVE, "SyncKeys": SYNC}


def test_each_database_is_connected_to_once_and_waited_for_seldom(way: Way) -> None:
    assert (way.target.connections, way.legacy.connections) == (1, 1)
    assert (way.target.waits <= 20, way.legacy.waits <= 8) == (True, True), way
