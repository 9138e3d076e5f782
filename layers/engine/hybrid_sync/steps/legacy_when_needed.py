"""Legacy for a step that mostly does without it: connected to when the step first has a question to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hybrid_sync.legacy.fence import keep_to
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.store import RunRecord
from hybrid_sync.world import World


@contextmanager
def legacy_when_needed(world: World) -> Iterator[Callable[[RunRecord], Connection]]:
    """Gives the one connection, kept to where the run was planned; it ends with the block."""
    with ExitStack() as opened:
        connected: list[Connection] = []

        def legacy_of(run: RunRecord) -> Connection:
            if not connected:
                connected.append(opened.enter_context(world.connect_legacy()))
                keep_to(connected[0], run.fence)
            return connected[0]

        yield legacy_of
