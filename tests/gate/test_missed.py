"""What AWS gave up to deliver is taken up: a scheduled run within its window, an event of the bus whenever it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.alerts import Alert
from hybrid_sync.catalog.load import load
from hybrid_sync.catalog.webhooks import load_webhooks
from hybrid_sync.contracts import RunPriority
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.http.webhooks import Bus
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.steps.start_missed import start_missed
from hybrid_sync.world import ProfileLimits
from tests.contract import accounts
from tests.gate.table import control_table
from tests.gate.test_gate import Deployment, refusing, row

DUE = datetime(2026, 11, 29, 1, tzinfo=UTC)
WEEKLY = "weekly-20261129T010000-000000"
WEBHOOKS = load_webhooks(load(Path("layers/catalog")), Path("layers/catalog"))


def sample(name: str) -> str:
    return Path("events", f"{name}.json").read_text("utf-8")


def start(due: datetime = DUE, profile: str = "weekly") -> str:
    asked = {"profile": profile, "trigger": "schedule", "on_failure": "keep"}
    return json.dumps({"scheduled_at": f"{due:%Y-%m-%dT%H:%M:%SZ}", "request": asked})


class Missing(Deployment):
    """With the queue's consumer, and whom it alerts."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        super().__init__(dynamodb, table, Bounds(3, waiting=4, waiting_of_one=3))
        self.alerts: list[Alert] = []
        self.mute = False
        self.world: Any = SimpleNamespace(
            gate=self.gate, alerts=self, now=lambda: self.service.now, limits=lambda _: ProfileLimits(1, 1, 8)
        )

    def publish(self, alert: Alert) -> None:
        if self.mute:
            raise AwsUnavailable("AWS failed on the alert topic.")
        self.alerts.append(alert)

    def brought(self, *bodies: str, at: datetime = DUE + timedelta(minutes=30)) -> list[str]:
        self.service.now = at
        by_id: Mapping[str, str] = {f"m{n}": body for n, body in enumerate(bodies)}
        return start_missed(self.world, by_id, lambda event: Bus(WEBHOOKS, self.gate).heard(event).run_id)


@pytest.fixture
def deployment() -> Iterator[Missing]:
    with accounts.account("moto", str):
        dynamodb: Any = boto3.client("dynamodb")
        with control_table(dynamodb, "control") as table:
            yield Missing(dynamodb, table)


def test_a_weekly_start_that_nobody_heard_is_made_up_for_once_and_told(deployment: Missing) -> None:
    assert deployment.brought(start()) == []
    assert list(deployment.service.executions) == [WEEKLY]
    [alert] = deployment.alerts
    assert not alert.urgent and alert.title == "what AWS could not deliver in time starts late"
    assert "The weekly run that was due at 2026-11-29 01:00 UTC could not be started then" in alert.lines[0]
    assert deployment.brought(start(), at=DUE + timedelta(hours=1)) == [], "SQS delivers at least once"
    admit_runs(deployment.world, ScheduledRun.model_validate_json(start()))
    assert list(deployment.service.executions) == [WEEKLY] and len(deployment.alerts) == 1


def test_what_had_got_through_before_its_delivery_was_given_up_is_no_news(deployment: Missing) -> None:
    deployment.service.now = DUE
    admit_runs(deployment.world, ScheduledRun.model_validate_json(start()))
    assert deployment.brought(start(), at=DUE + timedelta(days=2)) == []
    assert list(deployment.service.executions) == [WEEKLY] and deployment.alerts == []


def test_past_its_window_a_start_is_a_persons_who_is_told_so(deployment: Missing) -> None:
    assert deployment.brought(start(), at=DUE + timedelta(hours=8, seconds=1)) == []
    assert deployment.service.executions == {}
    [alert] = deployment.alerts
    assert alert.urgent and alert.title == "a scheduled run was not started"
    assert alert.remedy == "Start it: hybrid-sync sync --profile weekly."


def test_hours_that_were_missed_are_one_alert_and_runs_that_answer_for_each_other(deployment: Missing) -> None:
    hours = [DUE + timedelta(hours=n, minutes=15) for n in range(4)]
    assert deployment.brought(*(start(at, "hourly") for at in hours), at=hours[-1] + timedelta(minutes=5)) == []
    assert len(deployment.service.executions) == 1
    first = next(iter(deployment.service.executions))
    deployment.end(first)
    assert len(deployment.service.executions) == 2, "those that waited are one run"
    assert [len(alert.lines) for alert in deployment.alerts] == [4]


def test_what_cannot_be_taken_up_comes_again_and_keeps_none_of_the_others(
    deployment: Missing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployment.brought("no JSON", '{"scheduled_at": "then"}', start()) == ["m0", "m1"]
    assert list(deployment.service.executions) == [WEEKLY]
    other = start(DUE, "daily")
    with monkeypatch.context() as away:
        away.setattr(deployment.jobs._client, "get_item", refusing("InternalServerError"))
        assert deployment.brought(other, sample("bus_event")) == ["m0", "m1"]
    assert deployment.brought(other, sample("bus_event")) == []
    assert len(deployment.service.executions) == 2, "one scheduled run at a time"
    assert [one.split(" ")[1] for one in deployment.alerts[-1].lines] == ["daily", "event"]


def test_an_event_of_the_bus_is_heard_whenever_it_comes_once(deployment: Missing) -> None:
    for _ in range(2):
        assert deployment.brought(sample("bus_event"), at=DUE + timedelta(days=5)) == []
    [run] = deployment.service.executions
    assert run.startswith("webhook-")
    assert "An event of the bus could not be heard in time" in deployment.alerts[0].lines[0]


def test_an_event_waits_in_the_queue_until_there_is_room_for_its_run(deployment: Missing) -> None:
    deployment.fill()
    deployment.gate.pause("by ann")
    for n in range(4):
        deployment.gate.add(row(n, RunPriority.critical), f"w{n}", f"caller-{n}")
    assert deployment.brought(sample("bus_event")) == ["m0"]
    deployment.gate.cancel("w0", "ann")
    assert deployment.brought(sample("bus_event")) == []


def test_ticks_and_ended_executions_are_needless_and_ask_for_nothing(deployment: Missing) -> None:
    deployment.world.gate = None
    ticks = ['{"keep_warm": true}', '{"source": "aws.scheduler", "detail": "{}"}', sample("execution_ended")]
    assert deployment.brought(*ticks) == []
    assert deployment.alerts == []


def test_an_alert_that_gets_through_nowhere_keeps_no_run_from_its_start(deployment: Missing) -> None:
    deployment.mute = True
    assert deployment.brought(start()) == []
    assert list(deployment.service.executions) == [WEEKLY]
