"""Check the deployment: what starts a check, and how it stands."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybrid_sync.check.model import CheckOutcome
from hybrid_sync.contracts import Message
from hybrid_sync.services.messages import Asked
from hybrid_sync.services.messages.runs import RunName


class CheckAsked(Asked):
    check_id: RunName
    disk_gb: Annotated[float, Field(gt=0)] | None = None


class CheckedAsked(Asked):
    check_id: RunName


class CheckStanding(Message):
    """How a check is: under way (`why` it still waits), ended with an outcome, or (neither) failed, with why."""

    check_id: str
    running: bool
    outcome: CheckOutcome | None = None
    why: str = ""
