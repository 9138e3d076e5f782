"""Admit runs: take a schedule's job in, start what may start, look after what has ended otherwise than well.

The clock, each schedule and the event of an ended execution come here.  An event may be lost: the clock does the same a
minute later at most.
"""

from __future__ import annotations

from typing import Protocol

from hybrid_sync.admission.gate import Gate
from hybrid_sync.admission.job import Job
from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import RunRequest
from hybrid_sync.entrypoint import logger
from hybrid_sync.errors import TargetUnavailable
from hybrid_sync.postgres import Connection, transaction
from hybrid_sync.steps.tell_lost_runs import tell_lost_runs
from hybrid_sync.world import World


class Admitting(World, Protocol):
    """With the gate."""

    @property
    def gate(self) -> Gate: ...


def admit_runs(world: Admitting, request: RunRequest | None) -> None:
    """With the request of a schedule, or without; a schedule that is delivered twice in its minute is one job.

    Raises what refused a start for certain, so that the function's errors tell.
    """
    if request is not None:
        world.gate.add(request, f"{request.profile}-{world.now():%Y%m%dT%H%M00}-000000", "schedule")
    try:
        world.gate.admit(tend=True)
    finally:
        _settle(world)


def _settle(world: Admitting) -> None:
    """End in the target, and tell, what has ended there in no other way; once the target can be asked."""
    unsettled = world.gate.unsettled()
    if not unsettled:
        return
    try:
        with world.connect_target() as target:
            tell_lost_runs(world, target)
            for job in unsettled:
                _tell_if_never_planned(world, job, target)
                world.gate.settled(job)
    except TargetUnavailable:
        logger.warning("the target is away: ended runs are looked after later", extra={"runs": len(unsettled)})


def _tell_if_never_planned(world: Admitting, job: Job, target: Connection) -> None:
    """A run that left no record is known to nobody but its job; who cancelled it knows."""
    if job.outcome not in ("lost", "cancelled") or job.cancelled_by:
        return
    with transaction(target, "target"):
        planned = target.execute("select from hybrid_sync.run where run_id = %s", (job.job_id,)).rowcount
    if not planned:
        lines = (f"Run {job.job_id} did not end by itself, and is {job.outcome}: it had not been planned.",)
        world.alerts.publish(Alert(f"run {job.outcome}", lines, urgent=True))
