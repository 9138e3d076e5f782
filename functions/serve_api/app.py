"""Start runs and tell how they go, over HTTP."""

from __future__ import annotations

from typing import Any

from hybrid_sync.entrypoint import Context, Event, measured
from hybrid_sync.wiring import api


def handler(event: Event, context: Context) -> Any:
    with measured(context):
        return api().resolve(event, context)
