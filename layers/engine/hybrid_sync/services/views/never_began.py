"""A scheduled run without a record in the target: it ended before anything was planned."""

from __future__ import annotations

from typing import Any

from hybrid_sync.errors import AwsUnavailable, PartMissing, SyncError
from hybrid_sync.report.words import run_title
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.views.model import RunMark

_UNSAID = "Nothing says why; its execution and its log do."


def never_began(desk: Desk, recorded: RunMark | None) -> RunMark | None:
    """The last scheduled run that ended ill, if it came after the last one that is recorded; None where AWS is away."""
    try:
        job = desk.gate.last_ill()
        if job is None or (recorded and (recorded.run_id == job.job_id or recorded.at > job.accepted_at)):
            return None
    except (AwsUnavailable, PartMissing):
        return None
    failure = _report(desk, job.job_id).get("failure") or {}
    return RunMark(
        run_id=job.job_id, title=run_title(job.request.profile), status=job.status,
        at=job.ended_at or job.accepted_at, never_began=str(failure.get("text") or job.why or _UNSAID),
        profile=job.request.profile,
    )  # fmt: skip


def _report(desk: Desk, run_id: str) -> dict[str, Any]:
    """Empty where it was never written, or cannot be read."""
    try:
        stored = desk.reports.stored(run_id)
    except SyncError:
        return {}
    return stored[0] if stored else {}
