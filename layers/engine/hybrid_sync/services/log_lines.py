"""The log groups of the functions that work for runs, and a line as it passes from there.

A line passes only as what we know of it: when, which function, its words, keys, codes and numbers.  So whoever may ask
sees no more than that, and needs no right in CloudWatch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from hybrid_sync.aws import Client, refusals
from hybrid_sync.services.messages.logs import LogLine

PATIENCE = 20.0
"""Seconds for all groups together; API Gateway ends a call after 29."""
AT_WORK = (
    "admit-runs", "sync-keys", "plan-run", "plan-entity", "sync-batch", "settle-uniques", "link-references",
    "propagate-deletes", "reconcile-entity", "compare-segment", "confirm-differences", "recheck-entity",
    "verify-entity", "report-run", "rollback-run", "check-deployment", "record-failure", "retry-failure",
    "escalate-failure",
)  # fmt: skip
"""The functions whose lines say for which run they work; serve-ops may read their groups and no other."""
_WORDS = ("level", "message", "function", "entity", "batch", "error", "raised_at")


def groups_beside(function: str) -> tuple[str, ...]:
    """The log groups of the deployment to which this function belongs, whose name ends as `serve-ops` does."""
    stack = "-".join(function.split("-")[:-2])
    return tuple(f"/aws/lambda/{stack}-{name}" for name in AT_WORK)


class RunLogs:
    """CloudWatch Logs, of some groups."""

    def __init__(self, groups: Sequence[str], client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._groups = groups
        self._client = client
        self._clock = clock

    def of(self, run_id: str, begin: datetime, end: datetime) -> tuple[list[LogLine], bool]:
        """The run's lines within these times, in no order, and whether those are all."""
        found: list[LogLine] = []
        until = self._clock() + PATIENCE
        for group in self._groups:
            for page in self._pages(group, run_id, begin, end):
                found += filter(None, (_line(event, run_id) for event in page))
                if self._clock() > until:
                    return found, False
        return found, True

    def _pages(self, group: str, run_id: str, begin: datetime, end: datetime) -> Iterator[list[dict[str, Any]]]:
        """A page may be empty and another follow (CloudWatch Logs API reference, FilterLogEvents)."""
        asked = {
            "logGroupName": group, "filterPattern": f'"{run_id}"', "startTime": int(begin.timestamp() * 1000),
            "endTime": int(end.timestamp() * 1000),
        }  # fmt: skip
        while True:
            with refusals(f"the log group {group}"):
                page = self._client.filter_log_events(**asked)
            yield page["events"]
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]


def _line(event: dict[str, Any], run_id: str) -> LogLine | None:
    """The line as one of the run; None where it is not one of ours, or another run's that only mentions this one."""
    try:
        line = json.loads(event["message"])
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("run_id") != run_id:
        return None
    return LogLine(
        at=datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
        **{name: str(line[name]) for name in _WORDS if line.get(name) is not None},
        numbers={
            name: value for name, value in line.items() if name not in _WORDS and isinstance(value, int | float | bool)
        },
    )  # fmt: skip
