"""A run whose execution broke off past every Catch is found by the clock, and has its report all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from hybrid_sync.admission.job import Job
from hybrid_sync.contracts import RunFailure, RunRequest
from hybrid_sync.errors import AwsUnavailable
from hybrid_sync.steps.admit_runs import UNREPORTED, admit_runs
from hybrid_sync.steps.plan_run import plan_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, MemoryReports

SAID = "The state/task 'PlanEntity' returned a result with a size exceeding the maximum number of bytes service limit."
TOO_LARGE = RunFailure(run_id="first", error="States.DataLimitExceeded", cause=SAID)


@dataclass
class Ended:
    """A gate whose jobs have all ended otherwise than well."""

    jobs: list[Job]
    looked_after: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def admit(self, *, tend: bool) -> list[str]:
        return []

    def unsettled(self) -> list[Job]:
        return self.jobs

    def stop_redriven(self, jobs: list[Job]) -> None:
        self.stopped = [job.job_id for job in jobs]

    def settled(self, job: Job) -> None:
        self.looked_after.append(job.job_id)


def clock(world: EngineWorld, outcome: str, cancelled_by: str = "") -> Ended:
    """A minute has passed since `first` ended."""
    job = Job("first", "", datetime.now(UTC), outcome=outcome, cancelled_by=cancelled_by)
    gate = Ended([job])
    world_with_gate: Any = world
    world_with_gate.gate = gate
    admit_runs(world_with_gate, None)
    return gate


def broken_off(world: EngineWorld, execution: str = "failed") -> None:
    plan_run(world, RunRequest(run_id="first"))
    world.executions.states["first"] = execution
    if execution == "failed":
        world.executions.failures["first"] = TOO_LARGE


def test_what_no_catch_sees_is_reported_by_the_clock_with_a_plain_cause(world: EngineWorld, target: Query) -> None:
    broken_off(world)

    gate = clock(world, "failed")

    [(status, kept)] = target("select status, report from hybrid_sync.run")
    assert (status, kept["status"]) == ("failed", "failed")
    [failure] = kept["failures"]
    assert (failure["state"], failure["error"]) == ("PlanEntity", "States.DataLimitExceeded")
    assert failure["cause"].startswith("A state was given or returned more than the 256 KiB")
    assert "more than the 256 KiB" in world.reports.pages["first", "html"]
    [(subject, told)] = world.alerts.published
    assert "run failed" in subject and "Run first" in told
    assert gate.looked_after == gate.stopped == ["first"]


@pytest.mark.parametrize("execution", ["lost", "cancelled"])
def test_a_run_that_was_stopped_or_timed_out_has_a_report_too(world: EngineWorld, execution: str) -> None:
    broken_off(world, execution)
    clock(world, execution)
    assert world.reports.documents["first"]["status"] == execution


def test_a_run_that_has_its_report_is_not_reported_again(world: EngineWorld) -> None:
    broken_off(world)
    clock(world, "failed")
    world.reports.documents.clear()
    clock(world, "failed")
    assert (world.reports.documents, len(world.alerts.published)) == ({}, 1)


def test_one_whose_report_reached_nobody_is_told_once_it_can_be(world: EngineWorld, target: Query) -> None:
    """Its report stands in the target: S3, or whoever carries the alert, was away for longer than all attempts."""
    broken_off(world)
    clock(world, "failed")
    world.executions.failures["first"] = RunFailure(run_id="first", error=UNREPORTED, cause="The report could not be")
    world.reports.documents.clear()
    target("delete from hybrid_sync.alert")
    del world.alerts.published[:]
    assert clock(world, "failed").looked_after == ["first"]
    assert world.reports.documents["first"]["status"] == "failed"
    assert len(world.alerts.published) == 1


def test_one_that_cannot_be_reported_keeps_no_other_from_being(world: EngineWorld) -> None:
    broken_off(world)
    plan_run(world, RunRequest(run_id="second"))
    world.executions.states["second"] = "lost"

    class Refusing(MemoryReports):
        def write(self, run_id: str, document: Mapping[str, Any]) -> str:
            if run_id == "first":
                raise AwsUnavailable("AWS failed on the data bucket (SlowDown).")
            return super().write(run_id, document)

    deployed: Any = world
    deployed.reports = Refusing()
    gate = deployed.gate = Ended([Job(name, "", datetime.now(UTC), outcome="failed") for name in ("first", "second")])
    with pytest.raises(AwsUnavailable, match="SlowDown"):
        admit_runs(deployed, None)
    assert gate.looked_after == ["second"]
    assert list(deployed.reports.documents) == ["second"]


def test_one_whose_end_an_operator_found_first_is_reported_and_told(world: EngineWorld, target: Query) -> None:
    broken_off(world)
    target("update hybrid_sync.run set status = 'failed', finished_at = now()")
    clock(world, "failed")
    assert world.reports.documents["first"]["status"] == "failed"
    assert len(world.alerts.published) == 1


def test_one_that_no_clock_has_a_job_of_is_reported_by_the_clock_that_finds_it(world: EngineWorld) -> None:
    broken_off(world)
    other: Any = world
    other.gate = Ended([Job("second", "", datetime.now(UTC), outcome="cancelled", cancelled_by="ann")])
    admit_runs(other, None)
    assert world.reports.documents["first"]["status"] == "failed"


@pytest.mark.parametrize(
    ("outcome", "failure", "said"),
    [
        ("failed", TOO_LARGE, "States.DataLimitExceeded: A state was given"),
        ("lost", None, "lost: It did not end by it"),
    ],
)
def test_one_that_was_never_planned_is_reported_once(
    world: EngineWorld, outcome: str, failure: RunFailure | None, said: str
) -> None:
    if failure:
        world.executions.failures["first"] = failure
    for _ in range(2):
        clock(world, outcome)
    assert world.reports.documents["first"]["status"] == outcome
    [(subject, told)] = world.alerts.published
    assert f"run {outcome} before it began" in subject and said in told


def test_who_cancelled_a_run_before_it_was_planned_is_told_nothing(world: EngineWorld) -> None:
    clock(world, "cancelled", cancelled_by="ann")
    assert (world.reports.documents, world.alerts.published) == ({}, [])
