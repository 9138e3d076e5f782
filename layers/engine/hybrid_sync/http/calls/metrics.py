"""The deployment's own numbers, for a monitoring system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid_sync.http.call import Call, Reply
from hybrid_sync.http.endpoint import Endpoint
from hybrid_sync.http.scopes import READ

if TYPE_CHECKING:
    from hybrid_sync.services.desk import Desk

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

ENDPOINTS = (
    Endpoint(
        "show_metrics", "metrics", "GET", "/v1/metrics", READ, "The deployment's own numbers, as OpenMetrics", None,
        media=OPEN_METRICS,
    ),
)  # fmt: skip


def show_metrics(desk: Desk, _: Call) -> Reply:
    """As text in the format of OpenMetrics."""
    from hybrid_sync.services.measured import exposition

    return Reply(text=exposition(desk))
