"""Serve the operator's pages."""

from __future__ import annotations

import functools
from typing import Any

from hybrid_sync.dashboard.identity import SignIn
from hybrid_sync.dashboard.routes import Dashboard
from hybrid_sync.entrypoint import Context, Event, measured
from hybrid_sync.wiring import world


@functools.cache
def dashboard() -> Dashboard:
    """The pages of this worker."""
    return Dashboard(world(), SignIn(world().tokens, world().people, world().project))


def handler(event: Event, context: Context) -> Any:
    with measured(context):
        return dashboard().resolve(event)
