"""The gate from outside: what runs and waits, and why; to cancel, to pause, to go on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from hybrid_sync.admission.gate import Standing
from hybrid_sync.contracts import Message
from hybrid_sync.errors import RunNotFound
from hybrid_sync.services.desk import Asked, Desk


class JobsAsked(Asked):
    """Of the whole deployment."""


class JobTold(Message):
    """One job: a run that waits (with its place and why), runs or has ended."""

    run_id: str
    status: str
    profile: str = ""
    priority: str = ""
    requested_by: str = ""
    accepted_at: datetime | None = None
    place: int | None = None
    why: str = ""
    answers_for: tuple[str, ...] = ()
    answered_by: str = ""


class Jobs(Message):
    """`waiting` counts all, of which the first are listed; `paused` says since when and why, or is empty."""

    jobs: tuple[JobTold, ...]
    waiting: int
    paused: str


class CancelAsked(Asked):
    run_id: Annotated[str, Field(min_length=1, max_length=120)]


class PauseAsked(Asked):
    reason: Annotated[str, Field(max_length=200)] = ""


class Resumed(Message):
    """The runs that started at once."""

    started: tuple[str, ...]


def syncs(desk: Desk, _: JobsAsked, __: str) -> Jobs:
    """What runs, then what waits in the order of its places."""
    found, waiting, slots = desk.gate.at_work()
    return Jobs(jobs=tuple(map(told, found)), waiting=waiting, paused=slots.paused)


def cancel(desk: Desk, asked: CancelAsked, who: str) -> JobTold:
    """End a run in whatever state it is; RunNotFound where nobody knows it."""
    try:
        job = desk.gate.cancel(asked.run_id, who)
    except RunNotFound:
        # Started past the gate, such as by hand on the state machine.
        if not desk.executions.stop(asked.run_id):
            raise
        return JobTold(run_id=asked.run_id, status=desk.executions.state(asked.run_id).status)
    return told(Standing(job, None, job.why))


def pause(desk: Desk, asked: PauseAsked, who: str) -> Jobs:
    """Keep jobs and start none, until somebody resumes."""
    desk.gate.pause(f"by {who} since {desk.now():%Y-%m-%d %H:%M} UTC{f', {asked.reason}' if asked.reason else ''}")
    return syncs(desk, JobsAsked(), who)


def resume(desk: Desk, _: JobsAsked, __: str) -> Resumed:
    """Start jobs again."""
    return Resumed(started=tuple(desk.gate.resume()))


def told(standing: Standing) -> JobTold:
    """A job for people."""
    job = standing.job
    return JobTold(
        run_id=job.job_id, status=job.status, profile=job.request.profile, priority=job.to_start.priority,
        requested_by=job.caller, accepted_at=job.accepted_at, place=standing.place, why=standing.why,
        answers_for=job.merged, answered_by=job.into,
    )  # fmt: skip
