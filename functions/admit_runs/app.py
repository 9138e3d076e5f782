"""Admit runs: for a schedule (when it was due, and its request), for an execution that has ended, for the clock, and
for what one of these could not be delivered in time."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.entrypoint import Context, Event, measure, measured, parsed
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.steps.start_missed import start_missed
from hybrid_sync.steps.tend_breakers import tend_breakers
from hybrid_sync.wiring import world


def handler(event: Event, context: Context) -> Any:
    with measured(context):
        if "Records" in event:
            bodies = {record["messageId"]: record["body"] for record in event["Records"]}
            left = start_missed(world(), bodies, _hear)
            return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in left]}
        scheduled = parsed(ScheduledRun, event) if "scheduled_at" in event else None
        with ExitStack() as afterwards:
            afterwards.callback(admit_runs, world(), scheduled)
            tend_breakers(world())
        measure({name: value for name, value in _standing().items() if value})
    return None


def _hear(event: Event) -> str | None:
    """The run that an event of the bus has started."""
    from hybrid_sync.http.webhooks import Bus  # seldom

    return Bus(world().webhooks, world().gate).heard(event).run_id


def _standing() -> dict[str, float]:
    """Zeros are not written: they would be paid for in every hour."""
    away = [breaker for breaker in world().breakers.both().values() if breaker.away_since is not None]
    return {"QueueAgeSeconds": world().gate.oldest_wait().total_seconds(), "DatabasesAway": len(away)}
