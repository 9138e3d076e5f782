"""Where the processor time of requests goes: whatever else this machine does, these milliseconds are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.processes import Processes, family

Seconds = dict[tuple[str, int], float]
"""Part of the stack and process -> seconds of processor."""


@contextmanager
def spent(requests: int) -> Iterator[dict[str, int]]:
    """Filled at the end: milliseconds a request by part of the stack, the largest first."""
    told: dict[str, int] = {}
    before = _so_far()
    yield told
    parts: defaultdict[str, float] = defaultdict(float)
    for (part, pid), seconds in _so_far().items():
        parts[part] += 1000 * (seconds - before.get((part, pid), 0.0)) / requests
    told |= {part: round(ms) for part, ms in sorted(parts.items(), key=lambda item: -item[1]) if round(ms)}


def _so_far() -> Seconds:
    found: Seconds = {}
    processes = Processes(home.directory())
    for name in ("aws", "legacy", "target"):
        if (recorded := processes.recorded(name)) is None:
            continue
        for process in family(recorded):
            try:
                used = process.cpu_times()
                part = _part(process, name)
            except psutil.Error:  # it has just ended
                continue
            found[part, process.pid] = used.user + used.system
    return found


def _part(process: psutil.Process, name: str) -> str:
    if name != "aws":
        return name
    function = process.environ().get("AWS_LAMBDA_FUNCTION_NAME")
    return function.removeprefix("hybrid-sync-") if function else "emulator"
