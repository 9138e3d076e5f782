"""Service levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import READ
from hybrid_sync.recorded.levels import Levels

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk

ENDPOINTS = (
    Endpoint(
        "show_levels", "levels", "GET", "/v1/levels", READ, "Which goals are met, missed or not measured", Levels,
    ),
)  # fmt: skip


def show_levels(desk: Desk, call: Call) -> Reply:
    """Every service level as the target has it now."""
    from hybrid_sync.services.levels import levels
    from hybrid_sync.services.messages.measures import LevelsAsked

    return Reply(levels(desk, LevelsAsked(), call.caller.who))
