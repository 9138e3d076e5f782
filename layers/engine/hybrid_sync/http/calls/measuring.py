"""Where a run's time went, and who uses what."""

from __future__ import annotations

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import run_id_of
from hybrid_sync.services import performance as performance_service
from hybrid_sync.services import usage as usage_service
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.measures import PerformanceAsked, UsageAsked


def show_performance(desk: Desk, call: Call) -> Reply:
    """RunNotFound, also for a run of which nothing was measured."""
    asked = PerformanceAsked(run_id=run_id_of(call))
    return Reply(performance_service.performance(desk, asked, call.caller.who))


def show_usage(desk: Desk, call: Call) -> Reply:
    """Of the last days."""
    return Reply(usage_service.usage(desk, UsageAsked(days=call.query.days), call.caller.who))
