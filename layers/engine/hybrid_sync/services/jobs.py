"""The gate from outside: what runs and waits, and why; to cancel, to pause, to go on."""

from __future__ import annotations

from hybrid_sync.admission.gate import Standing
from hybrid_sync.errors import RunNotFound
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.jobs import CancelAsked, JobAnswer, Jobs, JobsAsked, PauseAsked, Resumed


def syncs(desk: Desk, _: JobsAsked, __: str) -> Jobs:
    """What runs, then what waits in the order of its places."""
    found, waiting, slots = desk.gate.at_work()
    return Jobs(jobs=tuple(map(job_answer, found)), waiting=waiting, paused=slots.paused)


def cancel(desk: Desk, asked: CancelAsked, who: str) -> JobAnswer:
    """End a run in whatever state it is; RunNotFound where there is no such run."""
    try:
        job = desk.gate.cancel(asked.run_id, who)
    except RunNotFound:
        # Started past the gate, such as by hand on the state machine.
        if not desk.executions.stop(asked.run_id):
            raise
        return JobAnswer(run_id=asked.run_id, status=desk.executions.state(asked.run_id).status)
    return job_answer(Standing(job, None, job.why))


def pause(desk: Desk, asked: PauseAsked, who: str) -> Jobs:
    """Keep jobs and start none, until somebody resumes."""
    desk.gate.pause(f"by {who} since {desk.now():%Y-%m-%d %H:%M} UTC{f', {asked.reason}' if asked.reason else ''}")
    return syncs(desk, JobsAsked(), who)


def resume(desk: Desk, _: JobsAsked, __: str) -> Resumed:
    """Let jobs start again after a pause, and start those that may at once."""
    return Resumed(started=tuple(desk.gate.resume()))


def job_answer(standing: Standing) -> JobAnswer:
    """A job as commands and pages show it: status, place in the queue and why it waits."""
    job = standing.job
    return JobAnswer(
        run_id=job.job_id, status=job.status, profile=job.request.profile, priority=job.to_start.priority,
        requested_by=job.caller, accepted_at=job.accepted_at, place=standing.place, why=standing.why,
        answers_for=job.merged, answered_by=job.into,
    )  # fmt: skip
