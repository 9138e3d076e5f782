"""The time of an execution, in seconds since it began: the world's, or one for which nobody waits."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    @property
    def now(self) -> float: ...

    def wait(self, until: float) -> None:
        """Return once it is so late."""
        ...


class VirtualClock:
    """Time passes only when somebody waits for it, and then at once."""

    def __init__(self) -> None:
        self.now = 0.0

    def wait(self, until: float) -> None:
        self.now = until


class WallClock:
    """Time as everybody has it."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def wait(self, until: float) -> None:
        time.sleep(max(0.0, until - self.now))
