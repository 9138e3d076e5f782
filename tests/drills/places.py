"""Every place outside of the two databases where a deployment leaves something: each as (where, what stands there)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from hybrid_sync_cli.stack import Stack, home
from hybrid_sync_cli.stack.processes import Processes

Found = Iterator[tuple[str, bytes]]
ARTEFACTS = "aws-sam-cli-managed-default"
"""The bucket of the built code."""
SERVERS = ("legacy", "target")
"""Whose data and logs are the databases' own."""


def objects(stack: Stack) -> Found:
    s3 = stack.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith(ARTEFACTS):
            continue
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket["Name"]):
            for one in page.get("Versions", []):
                got = s3.get_object(Bucket=bucket["Name"], Key=one["Key"], VersionId=one["VersionId"])
                yield f"s3 {one['Key']}", got["Body"].read() + _told(got["Metadata"])


def items(stack: Stack) -> Found:
    dynamodb = stack.client("dynamodb")
    for table in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                yield f"dynamodb {table}", repr(item).encode()


def messages(stack: Stack) -> Found:
    """What waits in the queues, which is left there, though one of its attempts is used up."""
    sqs = stack.client("sqs")
    for url in sqs.list_queues().get("QueueUrls", []):
        hidden: list[str] = []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60).get("Messages"):
            for one in found:
                hidden.append(one["ReceiptHandle"])
                yield f"sqs {url.rpartition('/')[2]}", _told(one)
        for handle in hidden:
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)


def logs(stack: Stack) -> Found:
    client = stack.client("logs")
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for events in client.get_paginator("filter_log_events").paginate(logGroupName=name):
                for event in events["events"]:
                    yield f"log {name}", event["message"].encode()


def executions(stack: Stack) -> Found:
    """Input, output and every state's, of each."""
    states, machine = stack.client("stepfunctions"), stack.outputs["StateMachineArn"]
    for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine):
        for one in page["executions"]:
            arn = one["executionArn"]
            yield f"execution {one['name']}", _told(states.describe_execution(executionArn=arn))
            for history in states.get_paginator("get_execution_history").paginate(executionArn=arn):
                yield f"history {one['name']}", _told(history["events"])


def files() -> Found:
    """What the stack keeps on this machine, except the database servers' own."""
    place = home.directory()
    own = {Processes(place).log_file(name) for name in SERVERS}
    for path in sorted(place.rglob("*")):
        ours = path.is_file() and not path.is_symlink() and path not in own
        if ours and path.relative_to(place).parts[0] not in SERVERS:
            yield f"file {path.relative_to(place)}", path.read_bytes()


def pages(get: Callable[[str], str], paths: list[str]) -> Found:
    """What is served below an address."""
    for path in paths:
        yield f"served {path}", get(path).encode()


def commands(words: list[list[str]]) -> Found:
    """What the operator's command prints."""
    for line in words:
        program = "import sys; from hybrid_sync_cli.main import main; main(sys.argv[1:])"
        done = subprocess.run(
            [sys.executable, "-c", program, *line], capture_output=True, stdin=subprocess.DEVNULL, timeout=300,
            check=False,
        )  # fmt: skip
        yield f"hybrid-sync {' '.join(line)}", done.stdout + done.stderr


def _told(content: Any) -> bytes:
    return json.dumps(content, default=repr, ensure_ascii=False).encode()
