"""What AWS refuses, the strict stack refuses by the same name; and it has bad luck when it is asked to."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hybrid_sync.failures.cause import UNCAUGHT, of_execution
from hybrid_sync.runs.starter import RunStarter
from hybrid_sync_cli.emulator import injected, refusals
from hybrid_sync_cli.emulator.quotas import RESPONSE_BYTES, STATE_BYTES, TOO_LARGE
from hybrid_sync_cli.emulator.refusals import AUTHORIZER, DENIED, LATE, PAYLOAD
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.processes import Processes
from tests.stack.emulated import ACCOUNT, Emulated, stack_python

HANDLER = """
import os, time, urllib.request

def handler(event, context):
    if "path" in event:
        time.sleep(1)
        return {"statusCode": 200, "body": "too late"}
    if "call" in event:
        import boto3
        boto3.client("dynamodb").get_item(TableName="any", Key={"id": {"S": "1"}})
    if "count" in event:
        with open(event["count"], "a") as file:
            file.write(f"{os.getpid()}\\n")
    time.sleep(event.get("seconds", 0))
    return "x" * event.get("letters", 0)
"""
AUTHORIZE = """
def handler(event, context):
    allow = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
    nested = {"nested": {}} if "nested" in map(str.lower, event["headers"]) else {}
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    return {"principalId": "any", "policyDocument": policy, "context": {"text": "a", "number": 1, **nested}}
"""
HEADER = "method.request.header."
# A string's quotes are part of it; what Lambda adds for Step Functions is part of the result.
AROUND = len('{"StatusCode":200,"Payload":""}')


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """With a function `work` that may do nothing on AWS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_SYNC_API_SECONDS", "0.2")
        yield from _emulated(Aws(Processes(tmp_path_factory.mktemp("strict")), strict=True))


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """Everything is delivered twice and starts cold, and two invocations are one too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBDA_ACCOUNT_CONCURRENCY", "2")
        words = "duplicates=0.999999,cold_starts=0.999999"
        yield from _emulated(Aws(Processes(tmp_path_factory.mktemp("unlucky")), injected=words))


def _emulated(aws: Aws) -> Iterator[Emulated]:
    try:
        aws.start(stack_python(), None)
        made = Emulated(aws)
        made.function("work", HANDLER, made.role("works", "lambda"))
        made.function("authorize", AUTHORIZE, made.role("authorizes", "lambda"))
        made.role("may", "states", ("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:work"))
        made.role("may-not", "states", ("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:other"))
        yield made
    finally:
        aws.stop()


def task(**payload: Any) -> dict[str, Any]:
    """A task that calls `work`; whatever a wildcard can catch ends in the state Caught."""
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:work"
    return {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True,
        "Parameters": {"FunctionName": function, "Payload": payload},
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.caught"}],
    }  # fmt: skip


CAUGHT = {"Caught": {"Type": "Fail", "Error": "Caught", "CausePath": "$.caught.Error"}}


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.mark.parametrize(("over", "end"), [(0, ("SUCCEEDED", None)), (1, ("FAILED", "States.DataLimitExceeded"))])
def test_a_state_takes_256_kib_and_not_a_byte_more(strict: Emulated, over: int, end: tuple[str, str | None]) -> None:
    refusals.expect(strict.aws.refusals, PAYLOAD, state="lambda")
    states = {"Ask": task(letters=STATE_BYTES - AROUND + over), **CAUGHT}
    told = strict.run(f"result-{over}", states, role("may"), {})
    assert (told["status"], told.get("error")) == end


def test_a_payload_for_a_function_is_as_limited(strict: Emulated) -> None:
    refusals.expect(strict.aws.refusals, PAYLOAD, state="lambda")
    half = "x" * (STATE_BYTES // 2)
    states = {"Ask": task(**{"a.$": "$.half", "b.$": "$.half"}), **CAUGHT}
    assert strict.run("given", states, role("may"), {"half": half})["error"] == "States.DataLimitExceeded"


def test_what_a_map_gathers_is_limited_too(strict: Emulated) -> None:
    refusals.expect(strict.aws.refusals, PAYLOAD, state="Gather")
    one = {"Type": "Pass", "Result": "x" * (STATE_BYTES // 4), "End": True}
    gather = {"Type": "Map", "ItemsPath": "$", "ItemProcessor": {"StartAt": "One", "States": {"One": one}}, "End": True}
    told = strict.run("gathered", {"Gather": gather}, role("may"), [1, 2, 3, 4])
    assert told["error"] == "States.DataLimitExceeded"
    assert "'Gather' returned a result with a size exceeding the maximum number of bytes" in told["cause"]
    starter = RunStarter(told["stateMachineArn"], strict.client("stepfunctions"))
    failure = of_execution(starter.failure)(told["name"])
    assert failure is not None
    assert (failure.state, failure.cause) == ("Gather", UNCAUGHT[TOO_LARGE])


def test_a_response_of_more_than_lambda_carries_is_an_error(strict: Emulated) -> None:
    refusals.expect(strict.aws.refusals, PAYLOAD, function="work")
    assert strict.invoke("work", letters=RESPONSE_BYTES - 2)[0] is None
    error, answer = strict.invoke("work", letters=RESPONSE_BYTES - 1)
    assert error == "Unhandled"
    assert answer == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


def test_an_api_call_that_takes_too_long_is_answered_with_504(strict: Emulated) -> None:
    refusals.expect(strict.aws.refusals, LATE, function="work")
    gateway = strict.client("apigateway")
    api = gateway.create_rest_api(name="slow")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    where = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE")
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:work"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="live")
    connection = http.client.HTTPConnection("127.0.0.1", strict.aws.port, timeout=20)
    connection.request("GET", f"/_aws/execute-api/{api}/live/")
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (504, {"message": "Endpoint request timed out"})
    connection.close()


@pytest.mark.parametrize(
    ("authorizer", "headers", "status"),
    [
        ({"authorizerResultTtlInSeconds": 0, "identitySource": ""}, {}, 204),
        ({"authorizerResultTtlInSeconds": 0, "identitySource": ""}, {"Nested": "1"}, 500),
        ({"authorizerResultTtlInSeconds": 60, "identitySource": ""}, {}, 500),
        ({"authorizerResultTtlInSeconds": 0, "identitySource": f"{HEADER}A,{HEADER}B"}, {"A": "1"}, 401),
        ({"authorizerResultTtlInSeconds": 0, "identitySource": f"{HEADER}A,{HEADER}B"}, {"a": "1", "b": "2"}, 204),
    ],
)
def test_a_request_authorizer_is_asked_as_api_gateway_asks_it(
    strict: Emulated, authorizer: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    refusals.expect(strict.aws.refusals, AUTHORIZER)
    gateway = strict.client("apigateway")
    api = gateway.create_rest_api(name="guarded")["id"]
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:authorize"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    made = gateway.create_authorizer(restApiId=api, name="any", type="REQUEST", authorizerUri=uri, **authorizer)
    where = {
        "restApiId": api,
        "resourceId": gateway.get_resources(restApiId=api)["items"][0]["id"],
        "httpMethod": "GET",
    }
    gateway.put_method(**where, authorizationType="CUSTOM", authorizerId=made["id"])
    gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 204}'})
    gateway.put_method_response(**where, statusCode="204")
    gateway.put_integration_response(**where, statusCode="204", selectionPattern="")
    gateway.create_deployment(restApiId=api, stageName="live")
    connection = http.client.HTTPConnection("127.0.0.1", strict.aws.port, timeout=20)
    connection.request("GET", f"/_aws/execute-api/{api}/live/", headers=headers)
    assert connection.getresponse().status == status
    connection.close()


def test_a_function_may_do_what_its_role_may_and_nothing_else(strict: Emulated) -> None:
    error, answer = strict.invoke("work", call=True)
    assert error == "Unhandled"
    assert "AccessDeniedException" in answer["errorMessage"]
    [denied] = [r for r in refusals.unexpected(strict.aws.refusals) if r["kind"] == DENIED]
    assert denied["action"] == "dynamodb:GetItem"
    assert denied["by"].endswith(":assumed-role/works/work")
    refusals.expect(strict.aws.refusals, DENIED, action="dynamodb:GetItem")


def test_a_machine_calls_only_what_its_role_names(strict: Emulated) -> None:
    refusals.expect(strict.aws.refusals, DENIED, by=role("may-not"))
    told = strict.run("denied", {"Ask": task(), **CAUGHT}, role("may-not"), {})
    assert (told["error"], told["cause"]) == ("Caught", "Lambda.AWSLambdaException")


def test_every_refusal_was_wanted_by_now(strict: Emulated) -> None:
    assert refusals.unexpected(strict.aws.refusals) == []


def test_a_refusal_that_nobody_wants_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(refusals.FILE, str(tmp_path / "refusals"))
    refusals.record(DENIED, action="s3:GetObject", by="a")
    refusals.record(DENIED, action="s3:GetObject", by="b")
    refusals.expect(tmp_path / "refusals", DENIED, by="a")
    assert refusals.unexpected(tmp_path / "refusals") == [{"kind": DENIED, "action": "s3:GetObject", "by": "b"}]


def test_too_many_invocations_at_once_are_throttled_by_lambdas_name(unlucky: Emulated) -> None:
    def attempt(_: int) -> str:
        try:
            return str(unlucky.invoke("work", seconds=1)[0])
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(attempt, range(4)))
    assert said == ["None", "None", "TooManyRequestsException", "TooManyRequestsException"]


def test_a_throttled_task_fails_by_the_name_that_retry_lists_have(tmp_path_factory: pytest.TempPathFactory) -> None:
    aws = Aws(Processes(tmp_path_factory.mktemp("throttled")), injected="throttles=0.999999")
    for emulated in _emulated(aws):
        told = emulated.run("throttled", {"Ask": task(), **CAUGHT}, role("may"), {})
        assert (told["error"], told["cause"]) == ("Caught", "Lambda.TooManyRequestsException")


def test_an_asynchronous_invocation_and_a_message_arrive_twice_each_in_a_new_environment(
    unlucky: Emulated, tmp_path: Path
) -> None:
    counts = tmp_path / "counts"
    unlucky.client("lambda").invoke(
        FunctionName="work", InvocationType="Event", Payload=json.dumps({"count": str(counts)}).encode()
    )
    end = time.monotonic() + 20
    while (not counts.exists() or len(counts.read_text().split()) < 2) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(set(counts.read_text().split())) == 2


@pytest.mark.parametrize("words", ["storms=0.1", "throttles=1", "throttles=often", "duplicates"])
def test_bad_luck_that_nobody_knows_is_refused_in_words(words: str) -> None:
    with pytest.raises(ValueError, match=r"is nothing that can be injected: write throttles"):
        injected.parsed(words)


def test_the_same_seed_brings_the_same_luck_to_each_function() -> None:
    def drawn(seed: int, other: int) -> list[bool]:
        luck = injected.Luck(f"throttles=0.3,seed={seed}")
        for _ in range(other):
            luck.strikes("throttles", "another")
        return [luck.strikes("throttles", "work") for _ in range(200)]

    assert drawn(7, other=0) == drawn(7, other=50)
    assert drawn(7, other=0) != drawn(8, other=0)
    assert 30 < sum(drawn(7, other=0)) < 90
