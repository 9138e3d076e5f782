"""Service levels."""

from __future__ import annotations

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.services import levels as service
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.measures import LevelsAsked


def show_levels(desk: Desk, call: Call) -> Reply:
    """As of now."""
    return Reply(service.levels(desk, LevelsAsked(), call.caller.who))
