"""When a scheduled run that has failed is started again by itself: for a cause that passes, within its window.

The report says when, and the gate does what the report says: people and machine cannot disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.errors import (
    EntityIncomplete,
    LegacyReplaced,
    ParentFailed,
    RunDeadlineExceeded,
    SyncError,
)
from hybrid_sync.retries import AWAY_ERRORS, SCHEDULED_RUN, STEP_ERRORS, THROTTLED_ERRORS

# Neither is tried again within a run, and the next run begins where this one stopped, or reads everything once.
_NEXT_RUN_HEALS = {RunDeadlineExceeded.code, LegacyReplaced.code}
# What another failure of the same run leaves behind.
_FOLLOWS = {EntityIncomplete.code, ParentFailed.code}


def passes(codes: Collection[str]) -> bool:
    """Whether all that stood in the way passes by itself; never where nothing is known, or a person must act."""
    causes = set(codes) - _FOLLOWS
    named = {*STEP_ERRORS, *THROTTLED_ERRORS, *AWAY_ERRORS}
    return bool(causes) and causes <= {*_transient(SyncError), *_NEXT_RUN_HEALS, *named}


def starts_again(run_id: str, codes: Collection[str], ended_at: datetime, hours: float) -> datetime | None:
    """When the run of this name, which failed with these codes, is started again; None where it is not.

    `hours`: for how long after it was due.
    """
    named = Scheduled.named(run_id)
    if named is None or named.next.failed >= SCHEDULED_RUN.attempts or not passes(codes):
        return None
    at = ended_at + timedelta(seconds=SCHEDULED_RUN.delay(named.next.failed))
    return at if at <= until(named, hours) else None


def until(named: Scheduled, hours: float) -> datetime:
    """The end of its window."""
    return named.due + timedelta(hours=hours)


def retry_sentence(run_id: str, at: datetime | None) -> str:
    """The sentence that says which attempt begins when; empty where none does."""
    named = Scheduled.named(run_id)
    if named is None or at is None:
        return ""
    coming = named.next
    return (
        f"It tries again by itself at {at:%Y-%m-%d %H:%M} UTC (attempt {1 + coming.failed} of"
        f" {SCHEDULED_RUN.attempts}), unless somebody says: hybrid-sync cancel {coming.job_id}"
    )


def attempt(run_id: str) -> int:
    """Which attempt of a scheduled run this is, from one."""
    named = Scheduled.named(run_id)
    return 1 + named.failed if named else 1


def _transient(kind: type[SyncError]) -> Iterator[str]:
    for one in kind.__subclasses__():
        if one.transient:
            yield one.code
        yield from _transient(one)
