"""Runs: the recent ones, how far one is, what one did and found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hybrid_sync.contracts import RunRequest
from hybrid_sync.errors import KEPT_OUT, AwsUnavailable, RunNotFound
from hybrid_sync.postgres import Connection
from hybrid_sync.report.recent import count_runs, recent_runs
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.summary import recall, summarise
from hybrid_sync.report.words import NOTHING
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.runs import RunAnswer, RunAsked, Status, StatusAsked, UnrecordedRun
from hybrid_sync.services.unrecorded import find, settle, unrecorded
from hybrid_sync.services.views.at_work import waits_by_run
from hybrid_sync.services.waiting import waits


def status(desk: Desk, asked: StatusAsked, _: str) -> Status:
    """The newest runs, those among them that the target has no record of."""
    try:
        with at_target(desk) as target:
            ended = settle(desk, target)
            recent = recent_runs(target, asked.limit, retries=asked.retries)
            if any(run["status"] == "running" for run in recent):
                waiting = waits_by_run(target, waits(desk))
                recent = [{**run, "waits_for": waiting.get(run["run_id"], ())} for run in recent]
            beyond = unrecorded(desk, asked.limit, _known(target))
            every = count_runs(target, retries=asked.retries)
    except KEPT_OUT as away:
        found = unrecorded(desk, asked.limit, lambda _: set())
        if not found:
            raise
        runs = _newest(map(row_of, found), asked.limit)
        return Status(runs=runs, away=str(away), latest=_latest(desk, runs) if asked.latest else "")
    runs = _newest([*recent, *map(row_of, beyond)], asked.limit)
    return Status(runs=runs, every=every, ended=ended, latest=_latest(desk, runs) if asked.latest else "")


def report(desk: Desk, asked: RunAsked, _: str) -> RunAnswer:
    """RunNotFound where neither the target nor the state machine nor S3 knows the run."""
    try:
        with at_target(desk) as target:
            settle(desk, target)
            made = (recall if asked.as_ended else summarise)(target, asked.run_id, desk.catalog)
            waits_for = waits_by_run(target, waits(desk), made.run_id) if made.status == "running" else {}
            return RunAnswer(summary=made.model_dump(mode="json"), waits_for=waits_for.get(made.run_id, ()))
    except (RunNotFound, *KEPT_OUT) as missing:
        run = find(desk, asked.run_id)
        if run is None:
            raise
        return RunAnswer(unrecorded=run, away="" if isinstance(missing, RunNotFound) else str(missing))


def row_of(run: UnrecordedRun) -> dict[str, Any]:
    """The run as a row of the list; None for what is not known."""
    numbers = ("read", "inserted", "updated", "failed", "current", "due", "stale", "absent")
    seconds = ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()
    failure = (run.report or {}).get("failure") or {}
    return {
        "run_id": run.run_id, "status": run.status, "started_at": run.started_at, "finished_at": run.finished_at,
        "seconds": seconds, "adds_up": Sum.unknown, "part": NOTHING, **dict.fromkeys(numbers),
        "why": f"{failure['code']}: {failure['text']}" if failure else "",
    }  # fmt: skip


def _newest(rows: Iterable[dict[str, Any]], limit: int) -> tuple[dict[str, Any], ...]:
    return tuple(sorted(rows, key=lambda row: row["started_at"], reverse=True)[:limit])


def _latest(desk: Desk, begun: Sequence[dict[str, Any]]) -> str:
    """The newest of the runs that have begun and of those that wait; a check is no run."""
    found = [(run["started_at"], str(run["run_id"])) for run in begun]
    with suppress(AwsUnavailable):
        jobs = [standing.job for standing in desk.gate.at_work()[0]]
        found += [(job.accepted_at, job.job_id) for job in jobs if isinstance(job.request, RunRequest)]
    return max(found)[1] if found else ""


def _known(target: Connection) -> Callable[[Sequence[str]], set[str]]:
    """Which of some runs the target has a record of."""

    def known(run_ids: Sequence[str]) -> set[str]:
        found = target.execute(
            "select run_id from hybrid_sync.run where run_id = any(%(ids)s)"
            # A check is an execution of the same machine, and no run.
            " union select check_id from hybrid_sync.deployment_check where check_id = any(%(ids)s)",
            {"ids": list(run_ids)},
        )
        return {row[0] for row in found.fetchall()}

    return known
