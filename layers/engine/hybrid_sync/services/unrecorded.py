"""Runs that the target has no record of: what the state machine and the reports in S3 know of them.

A run that fails before it is planned, or while the target is away, is in no table; one whose execution was stopped
stands at work for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hybrid_sync.errors import AwsUnavailable, RunNotFound
from hybrid_sync.failures.cause import of_execution
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.lost import end_lost_runs
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.runs import UnrecordedRun

if TYPE_CHECKING:
    from hybrid_sync.runs.starter import RunState


def settle(desk: Desk, target: Connection) -> dict[str, str]:
    """End the runs of the target whose execution has ended without a report; returns the status that each was given.

    A deployment that has claimed the target is its only user, so an execution that it does not know is lost at once.
    """
    claimed = target.execute("select name from hybrid_sync.deployment").fetchone()
    alone = claimed is not None and claimed[0] == desk.deployment

    def ask(run_id: str) -> str | None:
        try:
            return desk.executions.state(run_id).status
        except RunNotFound:
            return "lost" if alone else None

    try:
        with target.transaction():
            return end_lost_runs(target, ask, of_execution(desk.executions.failure))
    except AwsUnavailable:
        return {}  # status answers whatever is away


def unrecorded(desk: Desk, limit: int, known: Callable[[Sequence[str]], set[str]]) -> list[UnrecordedRun]:
    """The newest runs that are not `known`; nothing where AWS does not answer.

    The state machine forgets an execution after 90 days, and the bucket keeps its report.
    """
    try:
        found = {state.run_id: state for state in desk.executions.recent(limit)}
        kept = desk.reports.newest(limit)
        there = known([*found, *kept])
        begun = [_begun(desk, state) for run_id, state in found.items() if run_id not in there]
        left = [_kept(desk, run_id) for run_id in kept if run_id not in there and run_id not in found]
    except AwsUnavailable:
        return []
    return [*begun, *(one for one in left if one is not None)]


def find(desk: Desk, run_id: str) -> UnrecordedRun | None:
    """One run by its id; None where neither the state machine nor S3 knows it, or AWS does not answer."""
    try:
        try:
            return _begun(desk, desk.executions.state(run_id))
        except RunNotFound:
            return _kept(desk, run_id) or _job(desk, run_id)
    except AwsUnavailable:
        return None


def _kept(desk: Desk, run_id: str) -> UnrecordedRun | None:
    """A run of which only its report is left."""
    stored = desk.reports.stored(run_id)
    if stored is None:
        return None
    report, at = stored
    began = report.get("started_at")
    return UnrecordedRun(
        run_id=run_id, status=str(report.get("status", "failed")), finished_at=at, report=report,
        started_at=datetime.fromisoformat(str(began)) if began else at,
    )  # fmt: skip


def _job(desk: Desk, run_id: str) -> UnrecordedRun | None:
    """What the gate knows of one that has no execution."""
    try:
        standing = desk.gate.standing(run_id)
    except RunNotFound:
        return None
    job = standing.job
    return UnrecordedRun(
        run_id=run_id, status=job.status, started_at=job.accepted_at, finished_at=job.ended_at, report=None,
        why=standing.why or (f"Run {job.into} answers for it." if job.into else ""),
    )  # fmt: skip


def _begun(desk: Desk, state: RunState) -> UnrecordedRun:
    """A run whose execution is known."""
    stored = desk.reports.stored(state.run_id) if state.status != "running" else None
    report = stored[0] if stored else None
    status = state.status
    if report is not None and status == "succeeded":
        status = str(report.get("status", status))
    return UnrecordedRun(
        run_id=state.run_id, status=status, started_at=state.started_at, finished_at=state.finished_at, report=report
    )
