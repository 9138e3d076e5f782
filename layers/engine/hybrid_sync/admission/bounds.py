"""How many runs may be at work, and how many jobs may wait."""

from __future__ import annotations

from collections.abc import Collection

from hybrid_sync.admission.job import Line, Waiting
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import QueueFull


@dataclass(frozen=True)
class Bounds:
    """The template's parameters MaxRuns, MaxWaiting and MaxWaitingOfOne."""

    runs: int = 3
    waiting: int = 1_000
    """In each line."""
    waiting_of_one: int = 100
    """Of one caller, of these."""

    def require_room(self, job: Waiting, waiting: Collection[Waiting]) -> None:
        """QueueFull where too many wait in its line; a scheduled run is never refused."""
        line = [one.caller for one in waiting if one.line is job.line]
        if job.line is Line.scheduled:
            return
        if len(line) >= self.waiting:
            raise QueueFull(f"{len(line)} jobs wait already.", "Send it again later.")
        if line.count(job.caller) >= self.waiting_of_one:
            raise QueueFull(f"{line.count(job.caller)} jobs of this caller wait already.", "Send it again later.")
