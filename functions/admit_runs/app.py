"""Admit runs: for a schedule (when it was due, and its request), for an execution that has ended, for the clock."""

from __future__ import annotations

from contextlib import ExitStack

from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.entrypoint import Context, Event, measure, measured, parsed
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.steps.tend_breakers import tend_breakers
from hybrid_sync.wiring import world


def handler(event: Event, context: Context) -> None:
    scheduled = parsed(ScheduledRun, event) if "scheduled_at" in event else None
    with measured(context):
        with ExitStack() as afterwards:
            afterwards.callback(admit_runs, world(), scheduled)
            tend_breakers(world())
        measure({name: value for name, value in _standing().items() if value})


def _standing() -> dict[str, float]:
    """Zeros are not written: they would be paid for in every hour."""
    away = [breaker for breaker in world().breakers.both().values() if breaker.away_since is not None]
    return {"QueueAgeSeconds": world().gate.oldest_wait().total_seconds(), "DatabasesAway": len(away)}
