"""The deployment's own numbers, for a monitoring system."""

from __future__ import annotations

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.measured import exposition


def show_metrics(desk: Desk, _: Call) -> Reply:
    """As text in the format of OpenMetrics."""
    return Reply(text=exposition(desk))
