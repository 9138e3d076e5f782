"""The log of one run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from hybrid_sync.contracts import Message
from hybrid_sync.services.messages import Asked

MOST = 1_000


class LogLine(Message):
    """One line; `numbers` are what a step counted."""

    at: datetime
    level: str = ""
    message: str = ""
    function: str = ""
    entity: str = ""
    batch: str = ""
    error: str = ""
    raised_at: str = ""
    numbers: dict[str, int | float | bool] = Field(default_factory=dict)


class LogsAsked(Asked):
    """The newest `limit` lines; `trouble`: only warnings and errors."""

    run_id: Annotated[str, Field(min_length=1, max_length=120, pattern=r'^[^"\s]+$')]
    limit: Annotated[int, Field(ge=1, le=MOST)] = 200
    trouble: bool = False


class Logs(Message):
    """The oldest first; `every` is how many there are, `whole` whether all groups were looked through in time."""

    run_id: str
    lines: tuple[LogLine, ...]
    every: int
    whole: bool = True
