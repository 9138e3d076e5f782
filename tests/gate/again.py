"""Scheduled runs of one seed: how they fail, what their reports say of the next attempt, and what must come of it."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hybrid_sync.admission.gate import Gate
from hybrid_sync.admission.job import Job
from hybrid_sync.admission.scheduled import CALLER, Scheduled
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.failures.again import starts_again
from hybrid_sync.retries import SCHEDULED_RUN
from hybrid_sync.steps.admit_runs import _start_again
from hybrid_sync.world import AGAIN_HOURS, ProfileLimits
from tests.gate.service import BEGAN, Execution

PASSES, NEEDS_A_PERSON = "target_unavailable", "missing_privilege"
_ENDINGS = ("FAILED",) * 6 + ("SUCCEEDED",) * 2 + ("TIMED_OUT",)


@dataclass
class Reports:
    """What the report of each run says, from the moment on at which its execution ends."""

    executions: Mapping[str, Execution]
    codes: Mapping[str, str]

    def read(self, run_id: str) -> dict[str, Any] | None:
        at = self.again_at(run_id)
        return None if at is None else {"again_at": at.isoformat()}

    def again_at(self, run_id: str) -> datetime | None:
        execution = self.executions.get(run_id)
        if execution is None or execution.status != "FAILED":
            return None
        return starts_again(run_id, [self.codes.get(run_id, PASSES)], execution.ends, AGAIN_HOURS)


@dataclass
class World:
    """What the function behind the clock needs of a deployment whose target is away."""

    gate: Gate
    reports: Reports

    def limits(self, profile: Profile) -> ProfileLimits:
        return ProfileLimits(5_000, 14_400)


def clock(gate: Gate, reports: Reports) -> None:
    """The clock strikes: what may start starts, and what has ended ill is looked after, and waits for its next time."""
    gate.admit(tend=True)
    for job in gate.unsettled():
        _start_again(World(gate, reports), job)  # type: ignore[arg-type]
        gate.settled(job)


@dataclass(frozen=True)
class Delivery:
    """A schedule's job, and how each of its attempts goes."""

    first: Scheduled
    at: datetime

    @property
    def request(self) -> RunRequest:
        return RunRequest(profile=self.first.profile, trigger=CALLER)

    @property
    def attempts(self) -> list[str]:
        names, one = [], self.first
        for _ in range(SCHEDULED_RUN.attempts + 1):
            names.append(one.job_id)
            one = one.next
        return names


def deliveries(chance: random.Random) -> list[Delivery]:
    """One or two, or none; the second may fall into the window of the first."""
    found = []
    for n in range(chance.choice((0, 0, 1, 1, 2))):
        at = BEGAN + timedelta(minutes=chance.choice((0, 1, 5)) + n * chance.choice((20, 90, 600)))
        profile = chance.choice((Profile.weekly, Profile.daily))
        found.append(Delivery(Scheduled(profile, at + timedelta(seconds=n)), at))
    return found


def endings(chance: random.Random, given: Collection[Delivery]) -> tuple[dict[str, str], dict[str, str]]:
    """How each attempt ends, and by which code it fails."""
    names = [name for one in given for name in one.attempts]
    ends = {name: chance.choice(_ENDINGS) for name in names}
    return ends, {name: NEEDS_A_PERSON for name in names if chance.random() < 0.1}


def wrong(given: Collection[Delivery], stored: Mapping[str, Job], reports: Reports) -> list[str]:
    """Where an attempt is missing that should have followed, or has begun that should not have, or too soon."""
    found = []
    for one in given:
        for name, coming in zip(one.attempts, one.attempts[1:], strict=False):
            at, job = reports.again_at(name), stored.get(name)
            follows = at is not None and job is not None and not job.cancelled_by
            if follows and coming not in stored:
                found.append(f"{coming} is lost")
            if not follows and coming in stored:
                found.append(f"{coming} follows nothing that failed by what passes")
            execution = reports.executions.get(coming)
            if execution is not None and (at is None or execution.began < at):
                found.append(f"{coming} began before its time, {at}")
    return found


def dropped(job: Job) -> bool:
    """Whether a job may have ended without an execution, and without anybody's word."""
    named = Scheduled.named(job.job_id)
    return named is not None and named.failed > 0 and (job.why.endswith("does the same.") or "time was over" in job.why)
