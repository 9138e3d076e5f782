"""What the gate can start: each is the state machine's input, distinguished by its profile."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.contracts import Message, RunPriority, RunRequest


class CheckRequest(Message):
    """Look at the deployment from inside."""

    profile: Literal["check"] = "check"
    trigger: str = "hand"
    priority: RunPriority = RunPriority.normal
    requested_by: str | None = None
    disk_gb: Annotated[float, Field(gt=0)] | None = None
    """The size of the target's disk, which SQL cannot see."""


Startable = RunRequest | CheckRequest
STARTABLE: TypeAdapter[Startable] = TypeAdapter(Startable)


class ScheduledRun(Message):
    """What a schedule delivers, at least once: when it was due, which each delivery repeats, and the run."""

    scheduled_at: datetime
    request: RunRequest

    @property
    def job_id(self) -> str:
        """Equal for every delivery, however late."""
        return Scheduled(self.request.profile, self.scheduled_at).job_id
