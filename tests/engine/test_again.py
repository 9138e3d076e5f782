"""A scheduled run that fails for a cause that passes says when it tries again, and the clock sees to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from hybrid_sync.admission.job import Job
from hybrid_sync.admission.scheduled import CALLER, Scheduled
from hybrid_sync.check.model import CheckOutcome
from hybrid_sync.check.verdicts import record_verdict
from hybrid_sync.contracts import Profile, ReportRequest, RunFailure, RunRequest
from hybrid_sync.errors import SyncError
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.report_run import report_run
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

FIRST = Scheduled(Profile.weekly, datetime.now(UTC).replace(microsecond=0))
AWAY = "target_unavailable: The target did not answer. Look at it."


@dataclass
class Asked:
    """A gate whose jobs have ended, and what it was asked to start again."""

    jobs: list[Job]
    again: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    looked_after: list[str] = field(default_factory=list)

    def admit(self, *, tend: bool) -> list[str]:
        return []

    def unsettled(self) -> list[Job]:
        return self.jobs

    def stop_redriven(self, jobs: list[Job]) -> None:
        pass

    def settled(self, job: Job) -> None:
        self.looked_after.append(job.job_id)

    def start_again(self, job: Job, job_id: str, at: datetime, until: datetime) -> None:
        self.again.append((job_id, at, until))


@pytest.fixture(autouse=True)
def checked(world: EngineWorld) -> None:
    """No schedule starts anything before."""
    outcome = CheckOutcome(check_id="check-1", passed=True, errors=0, warnings=0, notes=0, findings=())
    with world.connect_target() as target:
        record_verdict(target, world.catalog.hash, outcome)


def clock(world: EngineWorld, attempt: Scheduled = FIRST, **changes: Any) -> Asked:
    """A minute has passed since the run failed."""
    job = Job(attempt.job_id, "", world.now(), **{"caller": CALLER, "outcome": "failed", **changes})
    gate = Asked([job])
    deployed: Any = world
    deployed.gate = gate
    admit_runs(deployed, None)
    return gate


def fails(
    world: EngineWorld, attempt: Scheduled = FIRST, error: str = "TransientError", **request: Any
) -> datetime | None:
    """The attempt breaks off after its plan; when its report says that the next one begins."""
    plan_run(world, RunRequest(run_id=attempt.job_id, **{"trigger": CALLER, **request}))
    cause = json.dumps({"errorMessage": AWAY if error == "TransientError" else error, "errorType": error})
    failure = RunFailure(run_id=attempt.job_id, error=error, cause=cause)
    report_run(world, ReportRequest(run_id=attempt.job_id, failure=failure))
    said = world.reports.documents[attempt.job_id]["again_at"]
    return datetime.fromisoformat(said) if said else None


def test_the_report_says_when_the_alert_too_and_the_clock_does_what_the_report_says(
    world: EngineWorld, target: Query
) -> None:
    at = fails(world)
    assert at is not None
    [(ended,)] = target("select finished_at from hybrid_sync.run")
    assert at - ended == timedelta(minutes=15)
    sentence = f"It tries again by itself at {at:%Y-%m-%d %H:%M} UTC (attempt 2 of 4)"
    assert sentence in world.alerts.published[0][1]
    assert sentence in world.reports.pages[FIRST.job_id, "html"]
    gate = clock(world)
    assert gate.again == [(FIRST.next.job_id, at, FIRST.due + timedelta(hours=8))]
    assert gate.looked_after == [FIRST.job_id]


def test_people_hear_of_the_first_and_of_the_last_attempt_and_that_it_is_over(world: EngineWorld) -> None:
    attempt = FIRST
    for _ in range(3):
        fails(world, attempt)
        attempt = attempt.next
    assert len(world.alerts.published) == 1
    assert fails(world, attempt) is None
    subject, body = world.alerts.published[-1]
    assert (len(world.alerts.published), subject) == (2, "hybrid-sync ALERT: weekly run failed, attempt 4")
    assert "tries again" not in body
    run(world, attempt.next.job_id, trigger=CALLER)
    subject, body = world.alerts.published[-1]
    assert "weekly run succeeded" in subject
    assert body.count("Over: weekly run failed") == 2


def test_what_a_person_decides_or_must_heal_does_not_start_again(world: EngineWorld) -> None:
    cases: tuple[tuple[str, dict[str, Any]], ...] = (
        ("PermanentError", {}), ("States.DataLimitExceeded", {}), ("TransientError", {"trigger": "hand"}),
        ("TransientError", {"on_failure": "hold"}), ("TransientError", {"on_failure": "rollback"}),
    )  # fmt: skip
    for n, (error, asked) in enumerate(cases):
        attempt = Scheduled(Profile.weekly, FIRST.due + timedelta(seconds=n))
        assert fails(world, attempt, error, **asked) is None, (error, asked)
        assert clock(world, attempt).again == []


def test_a_run_that_somebody_else_started_or_ended_does_not_either(world: EngineWorld) -> None:
    assert fails(world) is not None
    others: tuple[dict[str, Any], ...] = (
        {"caller": "ann"}, {"cancelled_by": "ann"}, {"outcome": "cancelled"}, {"outcome": "lost"},
    )  # fmt: skip
    for changes in others:
        assert clock(world, **changes).again == [], changes


def test_a_run_that_never_began_for_an_outage_starts_again_while_the_target_is_still_away(
    world: EngineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "target_dsn", make_conninfo(world.target_dsn, host="127.0.0.1", port=1))
    with pytest.raises(SyncError):
        run(world, FIRST.job_id, trigger=CALLER)
    [(subject, body)] = world.alerts.published
    assert "run failed before it began" in subject
    assert "tries again by itself" in body
    gate = clock(world)
    assert [name for name, *_ in gate.again] == [FIRST.next.job_id]
    assert gate.looked_after == [], "the target has not been told"
