"""Start runs and tell how they go, over HTTP."""

from __future__ import annotations

import functools
from typing import Any

from hybrid_sync.entrypoint import Context, Event, measured
from hybrid_sync.http.routes import Api
from hybrid_sync.wiring import world


@functools.cache
def api() -> Api:
    """The routes of this worker."""
    return Api(world().catalog, world().gate, world().executions, world().reports)


def handler(event: Event, context: Context) -> Any:
    with measured(context):
        return api().resolve(event, context)
