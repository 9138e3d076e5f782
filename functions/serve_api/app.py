"""Serve the HTTP API."""

from __future__ import annotations

import functools
from typing import Any

from hybrid_sync.entrypoint import Context, Event, kept_warm, measured
from hybrid_sync.http.routes import Api
from hybrid_sync.wiring import world


@functools.cache
def api() -> Api:
    """The routes of this worker."""
    return Api(world())


@kept_warm(lambda: (api(), world().catalog, world().gate))
def handler(event: Event, context: Context) -> Any:
    with measured(context):
        return api().resolve(event)
