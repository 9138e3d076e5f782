"""Answer the operator's commands."""

from __future__ import annotations

import functools
from typing import Any

from hybrid_sync.entrypoint import Context, Event, measured
from hybrid_sync.http.ops import Ops
from hybrid_sync.wiring import world


@functools.cache
def ops() -> Ops:
    """The commands of this worker."""
    return Ops(world())


def handler(event: Event, context: Context) -> Any:
    with measured(context):
        return ops().resolve(event)
