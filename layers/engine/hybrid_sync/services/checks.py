"""Check the deployment: start it, and go on asking until it has ended."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field

from hybrid_sync.check.model import CheckOutcome, CheckRequest
from hybrid_sync.contracts import Message
from hybrid_sync.services.desk import Asked, Desk
from hybrid_sync.services.starts import RunName


class CheckAsked(Asked):
    check_id: RunName
    disk_gb: Annotated[float, Field(gt=0)] | None = None


class CheckedAsked(Asked):
    check_id: RunName


class CheckStanding(Message):
    """How a check is: at work, ended with an outcome, or (neither) failed, with why."""

    check_id: str
    running: bool
    outcome: CheckOutcome | None = None
    why: str = ""


def check(desk: Desk, asked: CheckAsked, who: str) -> CheckStanding:
    """Start it once, whatever is sent twice."""
    request = CheckRequest(trigger="cli", requested_by=who, disk_gb=asked.disk_gb)
    desk.executions.begin(request, asked.check_id)
    return CheckStanding(check_id=asked.check_id, running=True)


def checked(desk: Desk, asked: CheckedAsked, who: str) -> CheckStanding:
    """How one stands that was started."""
    state = desk.executions.state(asked.check_id)
    told = CheckOutcome.model_validate(json.loads(state.output)) if state.output else None
    return CheckStanding(
        check_id=asked.check_id, running=state.status == "running", outcome=told, why=state.why or state.status
    )
