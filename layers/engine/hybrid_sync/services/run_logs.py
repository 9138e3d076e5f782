"""The log of one run."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from hybrid_sync.errors import TargetUnavailable, no_such_run
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.logs import Logs, LogsAsked
from hybrid_sync.services.unrecorded import find

BEFORE, AFTER = timedelta(minutes=15), timedelta(minutes=5)
"""What is looked through beside the run itself: its first function may have begun before it was recorded."""


def logs(desk: Desk, asked: LogsAsked, _: str) -> Logs:
    """RunNotFound where the run is not known: then there are no times to look between."""
    begin, end = _times(desk, asked.run_id)
    found, whole = desk.outlook.logs.of(asked.run_id, begin - BEFORE, end + AFTER)
    lines = sorted((line for line in found if not asked.trouble or line.level != "INFO"), key=lambda line: line.at)
    return Logs(run_id=asked.run_id, lines=tuple(lines[-asked.limit :]), every=len(lines), whole=whole)


def _times(desk: Desk, run_id: str) -> tuple[datetime, datetime]:
    """From its beginning to its end, or to now."""
    with suppress(TargetUnavailable), at_target(desk) as target:
        run = target.execute(_TIMES, (run_id,)).fetchone()
        if run is not None:
            return run[0], run[1] or desk.now()
    known = find(desk, run_id)
    if known is None:
        raise no_such_run(run_id)
    return known.started_at, known.finished_at or desk.now()


_TIMES = "select started_at, finished_at from hybrid_sync.run where run_id = %s"
