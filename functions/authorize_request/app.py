"""Let a request in when it carries a service token that is known and not revoked."""

from __future__ import annotations

from typing import Any

from hybrid_sync.entrypoint import Context, Event, measured
from hybrid_sync.http.authorizer import Authorizer
from hybrid_sync.wiring import world


def handler(event: Event, context: Context) -> Any:
    with measured(context):
        return Authorizer(world().tokens).answer(event)
