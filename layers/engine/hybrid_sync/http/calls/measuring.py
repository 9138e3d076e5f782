"""Where a run's time went, and who uses what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hybrid_sync.contracts import Message
from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.calls.paths import run_id_of
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import READ
from hybrid_sync.tuning import model as tuning

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk


class UsageQuery(Message):
    """How far back to look."""

    days: Annotated[int, Field(ge=1, le=400)] = 7


ENDPOINTS = (
    Endpoint(
        "show_performance", "measuring", "GET", "/v1/syncs/{run_id}/performance", READ,
        "Where a run's time went, and what held it up", tuning.PerformanceAnswer,
    ),
    Endpoint(
        "show_usage", "measuring", "GET", "/v1/usage", READ,
        "Who asks for what, how often each entity is carried, and which schedule would fit it better",
        tuning.UsageAnswer, query=UsageQuery,
    ),
)  # fmt: skip


def show_performance(desk: Desk, call: Call) -> Reply:
    """RunNotFound, also for a run of which nothing was measured."""
    from hybrid_sync.services.messages.measures import PerformanceAsked
    from hybrid_sync.services.performance import performance

    return Reply(performance(desk, PerformanceAsked(run_id=run_id_of(call)), call.caller.who))


def show_usage(desk: Desk, call: Call) -> Reply:
    """Callers, entities and costs of the last `days`."""
    from hybrid_sync.services.messages.measures import UsageAsked
    from hybrid_sync.services.usage import usage

    return Reply(usage(desk, UsageAsked(days=call.query.days), call.caller.who))
