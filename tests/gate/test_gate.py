"""The gate on a real control table: jobs once, coalesced, cancelled in every state, bounded; refused starts by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from hybrid_sync.admission.gate import Bounds, Gate
from hybrid_sync.admission.job import JobState, new_job
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.contracts import Profile, Ref, RunPriority, RunRequest
from hybrid_sync.errors import ConfigurationMissing, QueueFull, RequestConflicts, RunNotFound
from hybrid_sync.key_values import MOST_KEYS
from hybrid_sync.runs.starter import RunStarter
from tests.contract import accounts
from tests.gate.schedule import MACHINE
from tests.gate.service import BEGAN, Service, refusal
from tests.gate.table import control_table


class Deployment:
    """A gate, its table and its state machine."""

    def __init__(self, dynamodb: Any, table: str, bounds: Bounds) -> None:
        self.service = Service(bounds.runs, {}, {}, like_the_emulator=False)
        self.jobs = JobStore(table, dynamodb)
        self.slots = SlotStore(table, dynamodb)
        self.away = ""
        self.another_way = False  # for a few keys, while the target alone is away
        self.gate = Gate(
            self.jobs, self.slots, RunStarter(MACHINE, self.service), bounds, lambda: self.service.now,
            lambda few: "" if few and self.another_way else self.away,
        )  # fmt: skip

    def fill(self) -> None:
        """Two runs hold the slots that ordinary jobs may have."""
        for n in (1, 2):
            self.gate.add(row(1_000 + n), f"long-{n}", "caller")

    def end(self, name: str, status: str = "SUCCEEDED") -> None:
        self.service.executions[name].status = status
        self.gate.admit(tend=True)

    def state(self, name: str) -> str:
        return self.gate.standing(name).job.status


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with accounts.account("moto", str):
        yield boto3.client("dynamodb")


@pytest.fixture
def deployment(dynamodb: Any) -> Iterator[Deployment]:
    with control_table(dynamodb, "control") as table:
        yield Deployment(dynamodb, table, Bounds(3, waiting=4, waiting_of_one=3))


def row(key: int, priority: RunPriority = RunPriority.normal) -> RunRequest:
    return RunRequest(profile=Profile.on_demand, refs=(Ref(entity="payments", legacy_id=key),), priority=priority)


def test_a_job_is_started_by_whoever_adds_it_under_its_own_name(deployment: Deployment) -> None:
    assert deployment.gate.add(row(1), "a", "caller").status == "running"
    assert [e.name for e in deployment.service.running()] == ["a"]


def test_while_a_database_is_away_jobs_wait_and_say_so_and_a_check_starts(deployment: Deployment) -> None:
    deployment.gate.add(row(1), "at-work", "caller")
    deployment.away = "The target database has been away since 01:00 UTC."
    assert deployment.gate.preview(row(2)) == deployment.away
    assert deployment.gate.add(row(2, RunPriority.critical), "a", "caller").status == "waiting"
    assert deployment.gate.add(CheckRequest(), "check-20261129T010000-4fc1d2", "ann").status == "running"
    assert deployment.gate.admit(tend=True) == []
    assert (deployment.gate.standing("a").place, deployment.gate.standing("a").why) == (1, deployment.away)
    assert deployment.gate.standing("at-work").why == deployment.away
    assert deployment.gate.standing("check-20261129T010000-4fc1d2").why == ""
    deployment.away = ""
    assert deployment.gate.admit(tend=True) == ["a"]
    assert deployment.gate.standing("at-work").why == ""


def test_a_few_keys_start_while_the_target_is_away_and_they_have_another_way(deployment: Deployment) -> None:
    deployment.away, deployment.another_way = "The target database has been away since 01:00 UTC.", True
    assert deployment.gate.add(RunRequest(profile=Profile.daily), "whole", "ann").status == "waiting"
    many = tuple(Ref(entity="payments", legacy_id=key) for key in range(1, MOST_KEYS + 2))
    assert deployment.gate.preview(RunRequest(profile=Profile.on_demand, refs=many)) == deployment.away
    assert deployment.gate.add(row(1), "a", "caller").status == "running"
    assert (deployment.gate.standing("a").why, deployment.gate.standing("whole").why) == ("", deployment.away)


def test_the_same_job_twice_is_one_and_another_under_its_id_conflicts(deployment: Deployment) -> None:
    deployment.gate.add(row(1), "a", "caller")
    deployment.gate.add(row(1), "a", "caller")
    with pytest.raises(RequestConflicts):
        deployment.gate.add(row(2), "a", "caller")
    assert len(deployment.service.executions) == 1


def test_the_third_ordinary_job_waits_and_says_where_and_why_and_no_critical_one_does(
    deployment: Deployment,
) -> None:
    deployment.fill()
    assert deployment.gate.add(row(1), "a", "caller").status == "waiting"
    standing = deployment.gate.standing("a")
    assert standing.place == 1
    assert standing.why.startswith("The last free slot is for critical jobs")
    assert deployment.gate.add(row(2, RunPriority.critical), "b", "caller").status == "running"
    assert deployment.gate.standing("a").why == "All 3 slots are taken, by b, long-1, long-2."
    deployment.gate.admit(tend=True)
    assert deployment.state("a") == "waiting"
    deployment.end("long-1")
    assert deployment.state("a") == "running"


def test_jobs_on_the_same_rows_coalesce_and_the_more_urgent_one_gives_its_place(deployment: Deployment) -> None:
    deployment.fill()
    deployment.gate.add(row(1), "a", "caller")
    merged = deployment.gate.add(row(1, RunPriority.critical), "b", "caller")
    assert (merged.state, merged.into) == (JobState.merged, "a")
    assert deployment.state("a") == "running"
    assert deployment.service.executions["a"].critical
    assert deployment.gate.add(row(1, RunPriority.critical), "b", "caller").into == "a"
    deployment.end("a")
    assert (deployment.state("a"), deployment.state("b")) == ("ended", "ended")
    assert "b" not in deployment.service.executions


def test_what_has_started_answers_for_nobody_new(deployment: Deployment) -> None:
    """It may have read the rows before they changed."""
    deployment.gate.add(row(1), "a", "caller")
    assert deployment.gate.add(row(1), "b", "caller").status == "running"


def test_a_job_that_was_admitted_since_it_was_listed_answers_for_nobody_new(deployment: Deployment) -> None:
    deployment.fill()
    deployment.gate.add(row(1), "a", "caller")
    [listed] = deployment.jobs.waiting()
    deployment.end("long-1")
    assert deployment.state("a") == "running"
    assert not deployment.jobs.merge(listed, new_job("b", row(1), "caller", BEGAN))
    assert deployment.jobs.get("b") is None


def test_a_waiting_job_is_cancelled_without_a_run(deployment: Deployment) -> None:
    deployment.fill()
    deployment.gate.add(row(1), "a", "caller")
    assert deployment.gate.cancel("a", "ann").status == "cancelled"
    deployment.end("long-1")
    assert "a" not in deployment.service.executions


def test_cancelling_a_job_that_answers_for_others_leaves_them_waiting(deployment: Deployment) -> None:
    deployment.fill()
    deployment.gate.add(row(1), "a", "caller")
    deployment.gate.add(row(1), "b", "caller")
    deployment.gate.cancel("a", "ann")
    assert (deployment.state("a"), deployment.state("b")) == ("cancelled", "waiting")
    deployment.end("long-1")
    assert deployment.state("b") == "running"


def test_a_running_job_is_stopped_and_ends_as_cancelled_and_its_slot_is_free(deployment: Deployment) -> None:
    deployment.fill()
    deployment.gate.add(row(1), "a", "caller")
    assert deployment.gate.cancel("long-1", "ann").status == "cancelled"
    assert deployment.service.executions["long-1"].status == "ABORTED"
    assert deployment.state("a") == "running"
    assert deployment.gate.cancel("long-1", "ann").status == "cancelled"
    with pytest.raises(RunNotFound):
        deployment.gate.cancel("nothing", "ann")


def test_cancel_works_in_every_state_and_ends_as_cancelled_or_says_how_it_had_ended(deployment: Deployment) -> None:
    deployment.fill()
    for name in ("waits", "merges"):
        deployment.gate.add(row(1), name, "caller")
    # Whoever claimed it has died before it was marked.
    job = new_job("claimed", row(2, RunPriority.critical), "caller", BEGAN)
    assert deployment.jobs.put(job)
    assert deployment.slots.claim(deployment.slots.read(), job, 3, "dead")
    assert [deployment.state(name) for name in ("waits", "merges", "claimed", "long-1")] == [
        "waiting", "merged", "waiting", "running",
    ]  # fmt: skip
    for name in ("merges", "waits", "claimed", "long-1"):
        assert deployment.gate.cancel(name, "ann").status == "cancelled"
        assert deployment.gate.standing(name).job.cancelled_by == "ann"
        assert name not in deployment.slots.read().holders
    assert {e.name for e in deployment.service.running()} == {"long-2"}
    deployment.end("long-2")
    assert deployment.gate.cancel("long-2", "ann").status == "ended"


def test_an_admitted_job_whose_execution_nobody_has_begun_is_cancelled_for_good(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(deployment.service, "start_execution", refusing("InternalFailure"))
        deployment.gate.add(row(1), "a", "caller")
    assert deployment.gate.cancel("a", "ann").status == "cancelled"
    assert deployment.service.executions["a"].status == "ABORTED", "its name is used up"


def test_an_execution_that_was_stopped_or_lost_is_found_and_waits_to_be_settled(deployment: Deployment) -> None:
    deployment.fill()
    deployment.end("long-1", "ABORTED")
    deployment.end("long-2", "TIMED_OUT")
    assert (deployment.state("long-1"), deployment.state("long-2")) == ("cancelled", "lost")
    unsettled = deployment.gate.unsettled()
    assert sorted(job.job_id for job in unsettled) == ["long-1", "long-2"]
    for job in unsettled:
        deployment.gate.settled(job)
    assert deployment.gate.unsettled() == []


def test_an_execution_that_was_redriven_once_its_slot_was_free_is_stopped(deployment: Deployment) -> None:
    """It goes on behind its entry, so nothing else would ask it for a slot; one that stays ended is left alone."""
    deployment.fill()
    deployment.end("long-1", "FAILED")
    deployment.end("long-2", "FAILED")
    assert deployment.slots.read().holders == {}
    deployment.service.executions["long-1"].status = "RUNNING"
    deployment.gate.stop_redriven(deployment.gate.unsettled())
    assert [deployment.service.executions[name].status for name in ("long-1", "long-2")] == ["ABORTED", "FAILED"]


def test_a_pause_keeps_jobs_and_starts_none_until_somebody_resumes(deployment: Deployment) -> None:
    deployment.gate.pause("by ann")
    assert deployment.gate.add(row(1, RunPriority.critical), "a", "caller").status == "waiting"
    assert deployment.gate.standing("a").why == "Starts are paused: by ann."
    assert deployment.gate.admit(tend=True) == []
    assert deployment.gate.resume() == ["a"]


def test_a_queue_has_bounds_for_one_caller_and_for_all_and_none_for_a_schedule(deployment: Deployment) -> None:
    deployment.gate.pause("by ann")
    for n in range(3):
        deployment.gate.add(row(n), f"mine-{n}", "me")
    with pytest.raises(QueueFull, match="of this caller"):
        deployment.gate.add(row(3), "mine-3", "me")
    assert deployment.gate.add(row(2), "mine-again", "me").into == "mine-2"
    deployment.gate.add(row(4), "yours", "you")
    with pytest.raises(QueueFull):
        deployment.gate.add(row(5), "theirs", "they")
    deployment.gate.add(row(6, RunPriority.critical), "critical", "they")
    deployment.gate.add(RunRequest(profile=Profile.weekly), "weekly", "schedule")
    assert deployment.gate.at_work()[1] == 6


def test_a_start_that_is_denied_frees_the_slot_and_the_job_waits_and_says_why(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = deployment.service.start_execution
    monkeypatch.setattr(deployment.service, "start_execution", refusing("AccessDeniedException"))
    assert deployment.gate.add(row(1), "a", "caller").status == "waiting"
    assert deployment.gate.standing("a").why.startswith("AWS refused access to the state machine")
    assert deployment.slots.read().holders == {}
    with pytest.raises(ConfigurationMissing):
        deployment.gate.admit()
    monkeypatch.setattr(deployment.service, "start_execution", begin)
    assert deployment.gate.admit() == ["a"]


def test_a_request_that_no_execution_takes_fails_by_name_and_blocks_nobody(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(deployment.service, "start_execution", refusing("InvalidExecutionInput"))
        job = deployment.gate.add(row(1), "a", "caller")
    assert (job.status, "InvalidExecutionInput" in job.why) == ("failed", True)
    assert deployment.gate.add(row(2), "b", "caller").status == "running"


def test_a_start_without_an_answer_keeps_its_slot_and_is_repeated(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(deployment.service, "start_execution", refusing("InternalFailure"))
        assert deployment.gate.add(row(1), "a", "caller").status == "running"
    assert list(deployment.slots.read().holders) == ["a"]
    deployment.gate.admit(tend=True)
    assert [e.name for e in deployment.service.running()] == ["a"]


def test_a_job_is_kept_for_as_long_as_its_name_and_not_longer(deployment: Deployment, dynamodb: Any) -> None:
    deployment.gate.add(row(1), "a", "caller")
    deployment.end("a")
    item = dynamodb.get_item(TableName="control", Key={"pk": {"S": "job/a"}})["Item"]
    assert int(item["forget_at"]["N"]) == int((BEGAN + timedelta(days=90)).timestamp())


def refusing(code: str) -> Any:
    def refuse(**_: Any) -> Any:
        raise refusal(code, "StartExecution")

    return refuse


def test_two_who_have_read_the_same_slots_cannot_both_claim(deployment: Deployment) -> None:
    deployment.slots.pause("")
    seen = deployment.slots.read()
    first, second = (new_job(name, row(n), "caller", BEGAN) for n, name in enumerate(("a", "b")))
    assert deployment.slots.claim(seen, first, 3, "x")
    assert not deployment.slots.claim(seen, second, 3, "y")
    assert list(deployment.slots.read().holders) == ["a"]


def test_a_claim_beyond_the_last_slot_is_refused_by_the_table_itself(deployment: Deployment) -> None:
    for n in range(3):
        assert deployment.slots.claim(deployment.slots.read(), new_job(f"{n}", row(n), "caller", BEGAN), 3, "x")
    assert not deployment.slots.claim(deployment.slots.read(), new_job("4", row(4), "caller", BEGAN), 3, "x")


def test_a_job_that_was_claimed_by_one_who_died_is_started_by_the_next(deployment: Deployment) -> None:
    deployment.gate.pause("by ann")
    job = deployment.gate.add(row(1), "a", "caller")
    deployment.slots.pause("")
    assert deployment.slots.claim(deployment.slots.read(), job, 3, "dead")
    deployment.gate.admit(tend=True)
    assert [e.name for e in deployment.service.running()] == ["a"]


def test_a_job_that_was_claimed_and_then_cancelled_never_begins(deployment: Deployment) -> None:
    deployment.gate.pause("by ann")
    job = deployment.gate.add(row(1), "a", "caller")
    deployment.slots.pause("")
    assert deployment.slots.claim(deployment.slots.read(), job, 3, "late")
    assert deployment.gate.cancel("a", "ann").status == "cancelled"
    assert not deployment.jobs.mark_admitted("a", "late")
    assert (deployment.service.executions, deployment.slots.read().holders) == ({}, {})


def test_a_late_starter_of_a_cancelled_job_finds_its_name_used(deployment: Deployment) -> None:
    deployment.gate.pause("by ann")
    job = deployment.gate.add(row(1), "a", "caller")
    deployment.slots.pause("")
    assert deployment.slots.claim(deployment.slots.read(), job, 3, "late")
    assert deployment.jobs.mark_admitted("a", "late")
    assert deployment.gate.cancel("a", "ann").status == "cancelled"
    assert deployment.slots.read().holders == {}
    RunStarter(MACHINE, deployment.service).begin(job.request, "a")
    assert deployment.service.running() == []


def test_one_who_was_refused_leaves_a_slot_that_another_has_taken_over(deployment: Deployment) -> None:
    deployment.gate.pause("by ann")
    job = deployment.gate.add(row(1), "a", "caller")
    deployment.slots.pause("")
    assert deployment.slots.claim(deployment.slots.read(), job, 3, "first")
    assert deployment.slots.take_over(deployment.slots.read(), "a", "second")
    deployment.slots.free("a", "first")
    assert list(deployment.slots.read().holders) == ["a"]
    assert deployment.jobs.mark_admitted("a", "second")
    assert not deployment.jobs.wait_again("a", "first", "denied")
