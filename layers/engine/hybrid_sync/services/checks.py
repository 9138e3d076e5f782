"""Check the deployment: start it, and go on asking until it has ended."""

from __future__ import annotations

import json

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.check.model import CheckOutcome
from hybrid_sync.errors import RunNotFound
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.checks import CheckAsked, CheckedAsked, CheckStanding


def check(desk: Desk, asked: CheckAsked, who: str) -> CheckStanding:
    """Have a check start when the gate admits it; once, however often the request is sent."""
    request = CheckRequest(trigger="cli", requested_by=who, disk_gb=asked.disk_gb)
    desk.gate.add(request, asked.check_id, who)
    return CheckStanding(check_id=asked.check_id, running=True)


def checked(desk: Desk, asked: CheckedAsked, who: str) -> CheckStanding:
    """How one stands that was asked for, or the one that answers for it; RunNotFound where there is none."""
    standing = desk.gate.standing(asked.check_id)
    job = standing.job
    if standing.place is not None:
        return CheckStanding(check_id=asked.check_id, running=True, why=standing.why)
    try:
        state = desk.executions.state(job.into or job.job_id)
    except RunNotFound:  # it is about to begin, or will never
        return _standing(asked.check_id, job.status, job.why)
    outcome = CheckOutcome.model_validate(json.loads(state.output)) if state.output else None
    return _standing(asked.check_id, state.status, state.why, outcome)


def _standing(check_id: str, status: str, why: str, outcome: CheckOutcome | None = None) -> CheckStanding:
    """How a check stands that no longer waits; `why` is its status where no reason is known."""
    running = status == "running"
    return CheckStanding(check_id=check_id, running=running, outcome=outcome, why="" if running else why or status)
