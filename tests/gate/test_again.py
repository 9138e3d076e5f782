"""Jobs of a later time, on a real control table: they start when it has come, unless somebody wants otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.job import JobState
from hybrid_sync.admission.scheduled import CALLER
from hybrid_sync.contracts import Profile, RunRequest
from tests.contract import accounts
from tests.gate.service import BEGAN
from tests.gate.table import control_table
from tests.gate.test_gate import Deployment

WEEKLY = RunRequest(profile=Profile.weekly, trigger="schedule")
AT = BEGAN + timedelta(minutes=15)


class Failed(Deployment):
    """A scheduled run has failed, and is to start again a quarter of an hour later, within eight hours."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        super().__init__(dynamodb, table, Bounds(3))
        first = self.gate.add(WEEKLY, "first", CALLER)
        self.service.executions["first"].status = "FAILED"
        self.gate.admit(tend=True)
        for _ in range(2):
            self.gate.start_again(first, "second", AT, BEGAN + timedelta(hours=8))

    def strike(self, at: timedelta) -> None:
        """The clock."""
        self.service.now = BEGAN + at
        self.gate.admit(tend=True)

    @property
    def begun(self) -> list[str]:
        return list(self.service.executions)


@pytest.fixture
def failed() -> Iterator[Failed]:
    with accounts.account("moto", str):
        dynamodb = boto3.client("dynamodb")
        with control_table(dynamodb, "control") as table:
            yield Failed(dynamodb, table)


def test_it_waits_for_its_time_says_so_and_starts_once(failed: Failed) -> None:
    failed.strike(timedelta(minutes=14))
    assert failed.begun == ["first"]
    [*_, standing] = failed.gate.at_work()[0]
    assert (standing.job.status, standing.place) == ("waiting", None)
    assert standing.why == "Starts again at 2026-11-29 00:15 UTC: first failed."
    failed.strike(timedelta(minutes=15))
    assert failed.begun == ["first", "second"]
    assert failed.service.executions["second"].text == failed.service.executions["first"].text
    failed.end("second")
    failed.strike(timedelta(minutes=20))
    assert (failed.state("second"), len(failed.begun)) == ("ended", 2)


def test_whoever_cancels_it_is_heeded_also_when_the_failure_is_looked_after_again(failed: Failed) -> None:
    assert failed.gate.cancel("second", "ann").status == "cancelled"
    first = failed.jobs.get("first")
    assert first is not None
    failed.gate.start_again(first, "second", AT, BEGAN + timedelta(hours=8))
    failed.strike(timedelta(hours=1))
    assert failed.begun == ["first"]


def test_a_pause_keeps_it_and_one_whose_window_is_over_by_then_is_dropped(failed: Failed) -> None:
    failed.gate.pause("by ann")
    failed.strike(timedelta(hours=2))
    assert (failed.begun, failed.state("second")) == (["first"], "waiting")
    failed.service.now = BEGAN + timedelta(hours=9)
    assert failed.gate.resume() == []
    job = failed.jobs.get("second")
    assert job is not None
    assert (job.state, job.why) == (JobState.cancelled, "Its time was over before it could start.")
    assert failed.slots.read().holders == {}


def test_a_pause_that_ends_in_time_lets_it_start(failed: Failed) -> None:
    failed.gate.pause("by ann")
    failed.strike(timedelta(hours=2))
    assert failed.gate.resume() == ["second"]


def test_a_run_of_the_same_work_that_succeeds_makes_it_needless_and_one_at_work_is_waited_for(failed: Failed) -> None:
    failed.gate.add(WEEKLY.model_copy(update={"trigger": "hand"}), "mine", "ann")
    failed.strike(timedelta(minutes=20))
    assert failed.begun == ["first", "mine"]
    failed.end("mine")
    assert failed.state("second") == "cancelled"
    assert failed.gate.standing("second").why == "Run mine does the same."


def test_one_of_the_same_work_that_fails_does_not(failed: Failed) -> None:
    failed.gate.add(WEEKLY.model_copy(update={"trigger": "hand"}), "mine", "ann")
    failed.end("mine", "FAILED")
    failed.strike(timedelta(minutes=20))
    assert failed.begun == ["first", "mine", "second"]


def test_the_next_run_of_the_schedule_answers_for_it(failed: Failed) -> None:
    failed.gate.add(WEEKLY, "next", CALLER)
    failed.gate.add(WEEKLY, "next", CALLER)
    assert failed.state("second") == "cancelled"
    failed.strike(timedelta(minutes=20))
    assert failed.begun == ["first", "next"]


def test_other_work_leaves_it_be(failed: Failed) -> None:
    failed.gate.add(RunRequest(profile=Profile.daily), "daily", CALLER)
    failed.end("daily")
    failed.strike(timedelta(minutes=20))
    assert failed.begun == ["first", "daily", "second"]


def test_one_that_answers_for_others_by_then_is_not_dropped(failed: Failed) -> None:
    failed.gate.pause("by ann")
    failed.strike(timedelta(minutes=20))
    assert failed.gate.add(WEEKLY.model_copy(update={"trigger": "hand"}), "mine", "ann").job_id == "mine"
    assert (failed.state("second"), failed.gate.standing("mine").job.into) == ("waiting", "second")
    failed.service.now = BEGAN + timedelta(hours=9)
    assert failed.gate.resume() == ["second"]
    failed.end("second")
    assert failed.state("mine") == "ended"
