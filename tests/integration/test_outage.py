"""A target that lets nobody in: callers hear it at once, runs wait and say so, people are told once, and it ends."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.aws import client, session
from hybrid_sync.breaker.breakers import KEPT
from hybrid_sync.breaker.state import MOST_FAILURES, PAUSES, Breaker
from hybrid_sync.errors import TargetUnavailable
from hybrid_sync.http.routes import Api
from hybrid_sync.postgres import transaction
from hybrid_sync.settings import Settings
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.steps.tend_breakers import tend_breakers
from hybrid_sync.wiring import DeployedWorld
from tests.contract import accounts
from tests.engine.worlds import MemoryAlerts
from tests.gate.table import control_table
from tests.unit.asking import CATALOG, event


class Shut:
    """A port where whoever comes is turned away, and counted."""

    def __init__(self) -> None:
        self.attempts = 0
        shut = self

        class Turn(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                shut.attempts += 1

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Turn)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Timed(DeployedWorld):
    """A deployment at a time that a test sets, of whose mail the test keeps a copy."""

    catalog = CATALOG  # type: ignore[assignment]

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, client)
        self.time = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
        self.mail = MemoryAlerts()

    @property
    def alerts(self) -> MemoryAlerts:  # type: ignore[override]
        return self.mail

    def now(self) -> datetime:
        return self.time


@dataclass
class Outage:
    """The deployment, and what a caller of its API and its clock meet."""

    world: Timed
    shut: Shut
    secret: str
    told: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any], dict[str, str]]:
        answer = Api(self.world).resolve(event(method, path, None if body is None else json.dumps(body), {}))
        return answer["statusCode"], json.loads(answer["body"]), answer["headers"]

    def clock_strikes(self, after: timedelta) -> list[str]:
        """The subjects of what people hear then."""
        self.world.time += after
        del self.world.mail.published[:]
        tend_breakers(self.world)
        admit_runs(self.world, None)
        return [subject for subject, _ in self.world.mail.published]

    def lead_to(self, dsn: str) -> None:
        """Another DSN stands in the secret."""
        held = {"legacy_dsn": dsn, "target_dsn": dsn, "id_secret": "x"}
        boto3.client("secretsmanager").put_secret_value(SecretId=self.secret, SecretString=json.dumps(held))


@pytest.fixture
def outage(target_db: str) -> Iterator[Outage]:
    shut = Shut()
    with accounts.account("moto", str), control_table(boto3.client("dynamodb"), "control"):
        session.cache_clear()
        secret = boto3.client("secretsmanager").create_secret(Name="connections")["ARN"]
        machine = boto3.client("stepfunctions").create_state_machine(
            name="sync-run", definition="{}", roleArn="arn:aws:iam::123456789012:role/run"
        )["stateMachineArn"]
        boto3.client("s3").create_bucket(Bucket="data")
        settings = {
            "CONTROL_TABLE": "control", "HYBRID_SYNC_SECRET": secret, "STATE_MACHINE": machine, "DATA_BUCKET": "data",
        }  # fmt: skip
        found = Outage(Timed(Settings.from_environment(settings)), shut, secret)
        found.lead_to(make_conninfo(target_db, host="127.0.0.1", port=shut.port))
        yield found
        session.cache_clear()
    shut.close()


def test_an_outage_from_its_first_failure_to_its_end(outage: Outage, target_db: str) -> None:
    for _ in range(MOST_FAILURES):
        status, told, headers = outage.ask("GET", "/v1/failures")
        assert (status, told["code"]) == (503, "target_unavailable")
        assert int(headers["Retry-After"]) > 0
    assert outage.shut.attempts == MOST_FAILURES

    status, told, headers = outage.ask("GET", "/v1/failures")
    assert (status, told["code"], headers["Retry-After"]) == (503, "target_unavailable", str(PAUSES[0].seconds + 1))
    assert "has been away since 2026-11-29 01:00 UTC" in told["detail"]
    status, told, _ = outage.ask("POST", "/v1/syncs", {"entities": ["orders"]})
    assert (status, told["status"]) == (202, "waiting")
    run_id = told["run_id"]
    _, told, _ = outage.ask("GET", f"/v1/syncs/{run_id}")
    assert (told["status"], told["place"]) == ("waiting", 1)
    assert told["why"].startswith("The target database has been away since 2026-11-29 01:00 UTC.")
    assert outage.shut.attempts == MOST_FAILURES  # no line of the audit trail was waited for, either

    assert outage.clock_strikes(timedelta(seconds=1)) == ["hybrid-sync ALERT: the target database is away"]
    assert outage.clock_strikes(PAUSES[0]) == []
    assert outage.shut.attempts == MOST_FAILURES + 1
    outage.lead_to(target_db)
    assert outage.clock_strikes(PAUSES[1] + KEPT) == ["hybrid-sync: the target database is back"]
    assert outage.world.executions.status(run_id) == "running"
    assert outage.clock_strikes(PAUSES[1]) == []
    assert outage.shut.attempts == MOST_FAILURES + 1


@pytest.fixture
def worker(outage: Outage, target_db: str) -> Iterator[Callable[[str], str]]:
    """Give the role `rotated` another password in the target; its DSN with that."""
    with psycopg.connect(target_db, autocommit=True) as owner:
        owner.execute("create role rotated login")

        def change(password: str) -> str:
            owner.execute(sql.SQL("alter role rotated password {}").format(password))
            owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotated'")
            while owner.execute("select from pg_stat_activity where usename = 'rotated'").fetchone():
                pass
            return make_conninfo(target_db, user="rotated", password=password)

        yield change
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotated'")
        owner.execute("drop role rotated")


def asks(world: DeployedWorld) -> None:
    with world.connect_target() as target, transaction(target, "target"):
        assert target.execute("select current_user").fetchone() == ("rotated",)


def test_a_password_that_was_changed_in_both_places_is_no_outage(outage: Outage, worker: Callable[[str], str]) -> None:
    """The worker believes its secret for minutes, and one refused password would shut everybody out for one."""
    world = outage.world
    outage.lead_to(worker("before"))
    asks(world)
    outage.lead_to(worker("changed"))
    asks(world)
    with world.connect_target() as target:
        outage.lead_to(worker("again"))  # under a connection that is in use
        with transaction(target, "target"):
            target.execute("select 1")
    asks(world)
    assert world.breakers.both()["target"] == Breaker()
    assert outage.clock_strikes(timedelta(minutes=1)) == []


def test_a_password_that_was_changed_in_the_server_alone_is_one(outage: Outage, worker: Callable[[str], str]) -> None:
    world = outage.world
    outage.lead_to(worker("before"))
    asks(world)
    worker("changed")
    with pytest.raises(TargetUnavailable):
        asks(world)
    assert world.breakers.both()["target"].why.needs_person
