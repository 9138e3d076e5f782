"""A run that somebody's used up capacity slows is known to whoever looks, by what real clients were answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.session import Session

from hybrid_sync.aws import client, session
from hybrid_sync.connecting import Connecting
from hybrid_sync.contracts import EntityTask
from hybrid_sync.errors import StructureMismatch, SyncError, TooManyConnections
from hybrid_sync.metering import METER, Meter
from hybrid_sync.settings import Settings
from tests.gate.table import control_table

TASK = EntityTask(run_id="weekly-1", entity="orders")
FULL = "The target database, or its pooler, has no connection left."


@pytest.fixture
def worker(aws: None) -> Iterator[Connecting]:
    METER.take()
    session.cache_clear()
    with control_table(boto3.client("dynamodb"), "throttled") as table:
        yield Connecting(Settings.from_environment({"CONTROL_TABLE": table}), client)
    session.cache_clear()


def met(worker: Connecting, error: Exception | None) -> dict[str, str]:
    """What is said after a step has met it."""
    with suppress(SyncError), worker.working(TASK):
        if error is not None:
            raise error
    return worker.throttling.said()


def test_a_step_that_finds_no_connection_left_says_so_of_its_run(worker: Connecting) -> None:
    said = met(worker, TooManyConnections(FULL))
    assert said == {"weekly-1": f"{FULL.rstrip('.')}, since {datetime.now(UTC):%H:%M} UTC"}


@pytest.mark.parametrize("error", [None, StructureMismatch("There is no such column.")])
def test_one_that_ends_otherwise_says_nothing(worker: Connecting, error: Exception | None) -> None:
    assert met(worker, error) == {}


class Busy(BaseHTTPRequestHandler):
    """DynamoDB on a bad night: it asks to come more slowly as often as a test says, then it answers."""

    refuses = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        refused = Busy.refuses > 0
        Busy.refuses -= 1
        left = {"UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "b"}}]}}, "Responses": {"t": []}}
        body = json.dumps({"__type": "com.amazonaws#ThrottlingException"} if refused else left).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def busy() -> Iterator[tuple[Meter, Any]]:
    """A meter, and a client that it watches."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Thread(target=server.serve_forever, daemon=True).start()
    meter, own = Meter(), Session()
    meter.watch(own)
    patience = Config(retries={"mode": "standard", "total_max_attempts": 2})
    made = own.create_client(
        "dynamodb", endpoint_url=f"http://127.0.0.1:{server.server_port}", config=patience, region_name="us-east-1",
        aws_access_key_id="x", aws_secret_access_key="x",
    )  # fmt: skip
    yield meter, made
    server.shutdown()
    server.server_close()


def test_a_request_that_was_answered_in_its_second_attempt_was_slowed_all_the_same(busy: tuple[Meter, Any]) -> None:
    meter, dynamodb = busy
    Busy.refuses = 1
    dynamodb.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert meter.slowed == "AWS slows down dynamodb:GetItem."
    assert meter.take().requests == {"dynamodb:GetItem": 2}
    assert meter.slowed == ""


def test_so_was_one_that_left_keys_unprocessed(busy: tuple[Meter, Any]) -> None:
    meter, dynamodb = busy
    Busy.refuses = 0
    dynamodb.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert meter.slowed == ""
    dynamodb.batch_get_item(RequestItems={"t": {"Keys": [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}]}})
    assert meter.slowed == "AWS slows down dynamodb:BatchGetItem."
