"""What the gate can start: each is the state machine's input, distinguished by its profile."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.contracts import Message, Profile, RunPriority, RunRequest
from hybrid_sync.runs.said import said


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


def stored(request: Startable) -> str:
    """As a job keeps it."""
    return json.dumps(said(request))


def read_stored(text: str) -> tuple[Startable, bool]:
    """What a job has kept, and whether that is all that was asked for.

    Another version may have accepted it, before a deployment or before that was taken back.  What it says besides is
    left out: enough to show the job, and too little to start it.
    """
    try:
        return STARTABLE.validate_json(text), True
    except ValidationError:
        found = json.loads(text)
    kind = CheckRequest if found.get("profile") == "check" else RunRequest
    try:
        return kind.model_validate({name: value for name, value in found.items() if name in kind.model_fields}), False
    except ValidationError:
        return RunRequest(profile=Profile.on_demand), False


class ScheduledRun(Message):
    """What a schedule delivers, at least once: when it was due, which each delivery repeats, and the run."""

    scheduled_at: datetime
    request: RunRequest

    @property
    def job_id(self) -> str:
        """Equal for every delivery, however late."""
        return Scheduled(self.request.profile, self.scheduled_at).job_id
