"""Admit runs: take a schedule's job in, start what may start, look after what broke off.

The clock, each schedule and the event of an ended execution come here, once whatever was away has been tried again
(`tend_breakers`).  An event may be lost: the clock does the same a minute later at most.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from hybrid_sync.admission.gate import Gate
from hybrid_sync.admission.job import Job
from hybrid_sync.admission.scheduled import CALLER, Scheduled
from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.contracts import ReportRequest, RunFailure
from hybrid_sync.entrypoint import logger
from hybrid_sync.errors import PartMissing, SyncError, TargetUnavailable
from hybrid_sync.failures.again import until
from hybrid_sync.failures.cause import of_execution
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.steps.end_lost_runs import end_lost_runs_and_alert
from hybrid_sync.steps.notify_missing_part import notify_missing_part
from hybrid_sync.world import World

UNREPORTED = "RunUnreported"
"""The error by which such an execution ends (statemachine/sync_run.asl.yaml)."""


class Admitting(World, Protocol):
    """What admitting needs besides a world: the gate."""

    @property
    def gate(self) -> Gate: ...


def admit_runs(world: Admitting, scheduled: ScheduledRun | None) -> None:
    """With what a schedule has delivered, or without; delivered twice, however much later, it is one job.

    Raises what refused a start for certain, so that the function's errors tell; people hear of a part that is gone.
    """
    try:
        _admit(world, scheduled)
    except PartMissing as missing:
        try:
            notify_missing_part(world, missing)
        except SyncError as error:
            logger.warning("alert not sent", extra={"error": f"{error.code}: {error}"})
        raise


def _admit(world: Admitting, scheduled: ScheduledRun | None) -> None:
    if scheduled is not None:
        world.gate.add(scheduled.request, scheduled.job_id, CALLER)
    try:
        world.gate.admit(tend=True)
    finally:
        _settle(world)


def _settle(world: Admitting) -> None:
    """End, report and announce the runs that ended in no other way; only where the target answers."""
    unsettled = world.gate.unsettled()
    if not unsettled:
        return
    world.gate.stop_redriven(unsettled)
    try:
        with world.connect_target() as target:
            ended = end_lost_runs_and_alert(world, target)
            for run_id in ended.keys() - {job.job_id for job in unsettled}:
                _report(world, run_id, target, notified=True)
            refused = [_refusal(world, job, target, notified=job.job_id in ended) for job in unsettled]
    except TargetUnavailable:
        for job in unsettled:
            _start_again(world, job)
        logger.warning("the target is away: ended runs are looked after later", extra={"runs": len(unsettled)})
        return
    for error in filter(None, refused):
        raise error


def _refusal(world: Admitting, job: Job, target: Connection, *, notified: bool) -> SyncError | None:
    """What keeps this job from being looked after, and none of the others; the next call tries it again."""
    try:
        if not _report(world, job.job_id, target, notified=notified) and not job.cancelled_by:
            _report_unplanned(world, job)
        _start_again(world, job, target)
        world.gate.settled(job)
    except TargetUnavailable:
        raise
    except SyncError as error:
        return error
    return None


def _report(world: World, run_id: str, target: Connection, *, notified: bool) -> bool:
    """Write the report of a run that has ended without one, or whose report has reached nobody; False where it had not
    been planned."""
    from hybrid_sync.steps.report_run import reported  # what nearly no call needs

    with transaction(target, "target"):
        found = target.execute(
            "select status <> 'running', report is null from hybrid_sync.run where run_id = %s", (run_id,)
        ).fetchone()
    if found is not None and found[0] and (found[1] or _unreported(world, run_id)):
        reported(world, ReportRequest(run_id=run_id), target, notified=notified)
    return found is not None


def _unreported(world: World, run_id: str) -> bool:
    """Whether its execution ended because the report, which the target has, could not be copied or sent."""
    failure = world.executions.failure(run_id)
    return failure is not None and failure.error == UNREPORTED


def _start_again(world: Admitting, job: Job, target: Connection | None = None) -> None:
    """Let a failed scheduled run wait for its next attempt, where its report says that there is one and nobody
    cancelled it."""
    named = Scheduled.named(job.job_id) if job.caller == CALLER else None
    if named is None or job.outcome != "failed" or job.cancelled_by:
        return
    found = None
    if target is not None:
        with transaction(target, "target"):
            asked = "select report->>'again_at' from hybrid_sync.run where run_id = %s and report is not null"
            found = target.execute(asked, (job.job_id,)).fetchone()
    said = found[0] if found else (world.reports.read(job.job_id) or {}).get("again_at")
    if said:
        hours = world.limits(named.profile).again_hours
        world.gate.start_again(job, named.next.job_id, datetime.fromisoformat(str(said)), until(named, hours))


def _report_unplanned(world: World, job: Job) -> None:
    """Report a run that left no record in the target: only its job knows of it."""
    from hybrid_sync.steps.report_run import never_began

    if world.reports.read(job.job_id) is None:
        failure = of_execution(world.executions.failure)(job.job_id) or RunFailure(
            run_id=job.job_id, error=job.outcome, cause="It did not end by itself, and had not been planned."
        )
        never_began(world, ReportRequest(run_id=job.job_id, failure=failure), job.outcome)
