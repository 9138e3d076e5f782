"""Let a request in when it carries a service token, or the access token of somebody with a role here."""

from __future__ import annotations

import functools
from typing import Any

from hybrid_sync.entrypoint import Context, Event, kept_warm, measured
from hybrid_sync.http.authorizer import Authorizer
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.wiring import world


class Unauthorized(Exception):
    """API Gateway answers 401 to an error of exactly this text, and the caller learns no more."""


@functools.cache
def authorizer() -> Authorizer:
    """The authorizer of this worker."""
    return Authorizer(world().tokens, world().people, {(e.method, e.path): e.scope for e in ENDPOINTS})


@kept_warm(authorizer)
def handler(event: Event, context: Context) -> Any:
    with measured(context):
        answer = authorizer().answer(event)
    if answer is None:
        raise Unauthorized("Unauthorized")
    return answer
