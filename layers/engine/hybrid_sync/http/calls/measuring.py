"""Where a run's time went, and who uses what."""

from __future__ import annotations

from hybrid_sync.http.call import Call, Told
from hybrid_sync.http.calls.paths import run_id_of
from hybrid_sync.services import performance as performance_service
from hybrid_sync.services import usage as usage_service
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.measures import PerformanceAsked, UsageAsked


def show_performance(desk: Desk, call: Call) -> Told:
    """RunNotFound, also for a run of which nothing was measured."""
    asked = PerformanceAsked(run_id=run_id_of(call))
    return Told(performance_service.performance(desk, asked, call.caller.who))


def show_usage(desk: Desk, call: Call) -> Told:
    """Of the last days."""
    return Told(usage_service.usage(desk, UsageAsked(days=call.query.days), call.caller.who))
