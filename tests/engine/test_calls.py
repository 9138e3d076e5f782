"""A function as it is deployed where there are few connections: one to a database for a call, and none afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync import wiring
from hybrid_sync.contracts import EntityTask
from hybrid_sync.entrypoint import Handler
from hybrid_sync.errors import Contention, TransientError
from hybrid_sync.postgres import transaction
from hybrid_sync.world import World
from tests.engine.conftest import Query
from tests.engine.wait_counter import WaitCounter
from tests.engine.worlds import EngineWorld
from tests.unit.lambdas import FakeContext

EVENT = {"run_id": "weekly-1", "entity": "orders"}
SESSIONS = "select count(*) from pg_stat_activity where application_name = 'hybrid-sync'"
TRIES = 200


@pytest.fixture
def counter(world: EngineWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[WaitCounter]:
    """The way to the target of a deployment that keeps no connection between calls."""
    parts = conninfo_to_dict(world.target_dsn)
    counted = WaitCounter(str(parts["host"]), int(str(parts["port"])))
    told = {
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "HYBRID_SYNC_SECRET": "connections", "CONTROL_TABLE": "none", "KEEP_CONNECTIONS": "false",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        held = {"target_dsn": make_conninfo(world.target_dsn, host="127.0.0.1", port=counted.port)}
        boto3.client("secretsmanager").create_secret(Name="connections", SecretString=json.dumps(held))
        wiring.world.cache_clear()
        yield counted
        wiring.world.cache_clear()
    counted.close()


def deployed(failure: Exception | None) -> Handler:
    """A step that works on the target twice."""

    def work(world: World, task: EntityTask) -> None:
        for _ in range(2):
            with world.connect_target() as target, transaction(target, "target"):
                target.execute("select 1")
        if failure:
            raise failure

    return wiring.function(EntityTask, work)


def sessions_left(target: Query) -> int:
    """A server process ends a moment after its client has gone."""
    left = 1
    for _ in range(TRIES):
        [(left,)] = target(SESSIONS)
        if not left:
            break
        time.sleep(0.02)
    return left


def test_a_call_connects_once_for_its_work_and_its_record(counter: WaitCounter, target: Query) -> None:
    handler = deployed(None)
    for _ in range(2):
        handler(EVENT, FakeContext())
        assert counter.take().connections == 1
        assert sessions_left(target) == 0


def test_a_call_that_fails_leaves_no_connection_either(counter: WaitCounter, target: Query) -> None:
    with pytest.raises(TransientError):
        deployed(Contention("Busy."))(EVENT, FakeContext())
    assert counter.take().connections == 1
    assert sessions_left(target) == 0
