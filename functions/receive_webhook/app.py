"""Hear events: signed ones over HTTP, and those of the event bus."""

from __future__ import annotations

import functools
from typing import Any

from hybrid_sync.entrypoint import Context, Event, kept_warm, measured
from hybrid_sync.http.webhooks import Bus, Receiver
from hybrid_sync.wiring import world


@functools.cache
def receiver() -> Receiver:
    """The sources of this worker."""
    return Receiver(world().webhooks, world().keyring, world().gate, world().now)


@kept_warm(lambda: (receiver(), world().gate))
def handler(event: Event, context: Context) -> Any:
    with measured(context):
        if "httpMethod" in event:
            return receiver().resolve(event)
        return Bus(world().webhooks, world().gate).heard(event).model_dump()
