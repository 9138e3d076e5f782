"""A scheduled run's name: its profile, when it was due, and how many attempts have failed before it.

Whoever knows the name knows these, so that a run which the target has no record of can still be started again.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from hybrid_sync.contracts import Profile
from hybrid_sync.dataclass import dataclass

CALLER = "schedule"
"""Who asks for a scheduled run, and for its further attempts."""
_NAME = re.compile(r"(weekly|daily|hourly)-(\d{8}T\d{6})-00000(\d)")
_DUE = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Scheduled:
    """One attempt of a scheduled run; every delivery of its schedule gives the first one the same name."""

    profile: Profile
    due: datetime
    failed: int = 0
    """Attempts that have failed before."""

    @classmethod
    def named(cls, job_id: str) -> Scheduled | None:
        """Which attempt of what has this name; None of a run that no schedule has started."""
        found = _NAME.fullmatch(job_id)
        if found is None:
            return None
        try:
            due = datetime.strptime(found[2], _DUE).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(Profile(found[1]), due, int(found[3]))

    @property
    def job_id(self) -> str:
        return f"{self.profile}-{self.due:{_DUE}}-{self.failed:06}"

    @property
    def next(self) -> Scheduled:
        """The attempt after this one."""
        return replace(self, failed=self.failed + 1)
