"""The memory of the largest process of a job, seen from outside while it works.

A process's own account (`ru_maxrss`) begins with what its parent had, since Python starts children without a copy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.1
"""Seconds.  Linux remembers each process's highest mark, so that what matters is to look once before it ends."""


@dataclass
class Peak:
    kib: float = 0.0


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    """Look at a process and its children until the end of the block."""
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while not ended.wait(EVERY):
            for one in _family(pid):
                peak.kib = max(peak.kib, _highest(one))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except FileNotFoundError:  # not Linux, or it has just ended
        with suppress(psutil.NoSuchProcess):
            yield from (child.pid for child in psutil.Process(pid).children(recursive=True))
        return
    except ProcessLookupError:
        return
    for child in children:
        yield from _family(int(child))


def _highest(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1])
    with suppress(psutil.NoSuchProcess):
        return float(psutil.Process(pid).memory_info().rss) / 1024
    return 0.0
