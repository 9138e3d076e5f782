"""The gate from inside a run: what was started past it works only once it holds a slot, in its turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.entry import Entry
from hybrid_sync.admission.startable import CheckRequest, ScheduledRun, Startable
from hybrid_sync.contracts import Profile, RunPriority, RunRequest
from hybrid_sync.errors import ConfigurationMissing, QueueFull, RequestRejected, SlotsTaken
from hybrid_sync.runs.starter import RunStarter
from hybrid_sync.steps.admit_runs import admit_runs
from tests.contract import accounts
from tests.gate.schedule import MACHINE
from tests.gate.table import control_table
from tests.gate.test_gate import Deployment, refusing, row

BOUNDS = Bounds(3, waiting=4, waiting_of_one=2)


class Inside(Deployment):
    """With executions that somebody starts by hand."""

    def by_hand(self, name: str, request: Startable) -> None:
        """Its first state, once or again; what it raises, the state machine tries again or fails with."""
        if name not in self.service.executions:
            self.service.start_by_hand(name, request.model_dump_json())
        starter = RunStarter(MACHINE, self.service)
        Entry(self.jobs, self.slots, starter, BOUNDS, lambda: self.service.now).require_slot(name, request)


@pytest.fixture
def deployment() -> Iterator[Inside]:
    with accounts.account("moto", str):
        dynamodb: Any = boto3.client("dynamodb")
        with control_table(dynamodb, "control") as table:
            yield Inside(dynamodb, table, BOUNDS)


def test_what_the_gate_has_started_holds_a_slot_already(deployment: Inside) -> None:
    deployment.gate.add(row(1), "a", "caller")
    before = deployment.slots.read()
    deployment.by_hand("a", row(1))
    assert deployment.slots.read() == before


def test_an_execution_by_hand_takes_a_free_slot_and_gives_it_back_when_it_has_ended(deployment: Inside) -> None:
    deployment.by_hand("mine", row(1))
    deployment.by_hand("mine", row(1))
    assert list(deployment.slots.read().holders) == ["mine"]
    assert deployment.state("mine") == "running"
    deployment.end("mine")
    assert deployment.slots.read().holders == {}
    assert deployment.state("mine") == "ended"


def test_the_one_too_many_waits_says_why_and_works_in_its_turn(deployment: Inside) -> None:
    deployment.fill()
    with pytest.raises(SlotsTaken, match=r"past the gate, and waits. The last free slot is for critical") as refused:
        deployment.by_hand("mine", row(1))
    assert refused.value.throttled
    deployment.service.now += timedelta(seconds=1)
    deployment.gate.add(row(2), "later", "caller")
    assert deployment.gate.standing("mine").place == 1
    assert deployment.gate.add(row(1), "same", "caller").status == "waiting", "one by hand answers for nobody else"
    deployment.end("long-1")
    deployment.by_hand("mine", row(1))
    assert set(deployment.slots.read().holders) == {"long-2", "mine"}
    assert deployment.state("later") == "waiting"


def test_a_critical_one_by_hand_may_have_the_critical_slot_and_no_fourth(deployment: Inside) -> None:
    deployment.fill()
    deployment.by_hand("urgent", row(1, RunPriority.critical))
    with pytest.raises(SlotsTaken, match="All 3 slots are taken"):
        deployment.by_hand("urgent-too", row(2, RunPriority.critical))
    assert len(deployment.slots.read().holders) == 3


def test_one_by_hand_does_not_pass_those_who_wait(deployment: Inside) -> None:
    deployment.gate.pause("by ann")
    deployment.gate.add(row(1), "first", "caller")
    deployment.slots.pause("")
    with pytest.raises(SlotsTaken):
        deployment.by_hand("mine", row(2))
    deployment.gate.admit()
    deployment.by_hand("mine", row(2))
    assert set(deployment.slots.read().holders) == {"first", "mine"}


def test_a_pause_holds_what_is_started_by_hand_and_a_cancelled_one_never_works(deployment: Inside) -> None:
    deployment.gate.pause("by ann")
    with pytest.raises(SlotsTaken, match="Starts are paused: by ann"):
        deployment.by_hand("mine", row(1))
    assert deployment.gate.cancel("mine", "ann").status == "cancelled"
    assert deployment.service.executions["mine"].status == "ABORTED"
    deployment.gate.resume()
    deployment.service.executions["mine"].status = "RUNNING"
    with pytest.raises(RequestRejected, match="is cancelled already"):
        deployment.by_hand("mine", row(1))
    assert deployment.slots.read().holders == {}


def test_one_that_has_given_up_before_its_turn_ends_and_takes_no_slot(deployment: Inside) -> None:
    deployment.fill()
    with pytest.raises(SlotsTaken):
        deployment.by_hand("mine", row(1))
    deployment.service.executions["mine"].status = "FAILED"
    deployment.end("long-1")
    assert deployment.state("mine") == "failed"
    assert set(deployment.slots.read().holders) == {"long-2"}


def test_a_starter_that_is_refused_leaves_the_slot_of_one_that_runs(
    deployment: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.gate.pause("by ann")
    with pytest.raises(SlotsTaken):
        deployment.by_hand("mine", row(1))
    monkeypatch.setattr(deployment.service, "start_execution", refusing("AccessDeniedException"))
    with pytest.raises(ConfigurationMissing):
        deployment.gate.resume()
    assert list(deployment.slots.read().holders) == ["mine"]
    assert deployment.state("mine") == "waiting"
    deployment.by_hand("mine", row(1))
    assert deployment.state("mine") == "running"
    assert list(deployment.slots.read().holders) == ["mine"]


def test_those_by_hand_are_bounded_like_any_caller(deployment: Inside) -> None:
    deployment.gate.pause("by ann")
    for n in range(2):
        with pytest.raises(SlotsTaken):
            deployment.by_hand(f"mine-{n}", row(n))
    with pytest.raises(QueueFull, match="of this caller"):
        deployment.by_hand("mine-2", row(2))


def test_a_function_that_is_invoked_without_an_execution_takes_no_slot(deployment: Inside) -> None:
    starter = RunStarter(MACHINE, deployment.service)
    Entry(deployment.jobs, deployment.slots, starter, BOUNDS, lambda: deployment.service.now).require_slot("x", row(1))
    assert deployment.slots.read().holders == {}
    assert deployment.jobs.get("x") is None


def test_three_runs_and_a_check_are_never_four(deployment: Inside) -> None:
    deployment.fill()
    deployment.gate.add(row(1, RunPriority.critical), "urgent", "caller")
    assert deployment.gate.add(CheckRequest(), "check-1", "ann").status == "waiting"
    assert len(deployment.service.running()) == 3
    assert deployment.gate.add(CheckRequest(), "check-2", "bob").into == "check-1"
    assert deployment.gate.add(CheckRequest(disk_gb=10), "check-3", "bob").status == "waiting"
    deployment.end("long-1")
    assert deployment.state("check-1") == "running"
    assert json.loads(deployment.service.executions["check-1"].text) == {"profile": "check"}


def test_a_schedule_that_is_delivered_again_an_hour_later_is_the_same_run(deployment: Inside) -> None:
    due = datetime(2026, 11, 29, 1, tzinfo=UTC)
    scheduled = ScheduledRun(scheduled_at=due, request=RunRequest(profile=Profile.weekly, trigger="schedule"))
    world: Any = SimpleNamespace(gate=deployment.gate)
    for late in (timedelta(), timedelta(seconds=70), timedelta(hours=1)):
        deployment.service.now = due + late
        admit_runs(world, scheduled)
    assert list(deployment.service.executions) == ["weekly-20261129T010000-000000"]
    admit_runs(world, scheduled.model_copy(update={"scheduled_at": due + timedelta(days=7)}))
    assert deployment.state("weekly-20261206T010000-000000") == "waiting"
