"""What paces the writers: the progress of the runs, so that a slow machine sees the same mixture as a fast one."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable


class Beat:
    """Calls `act` in a thread of its own, once for each `tick` while started, a few milliseconds after it."""

    def __init__(self, act: Callable[[], None], luck: random.Random, longest_pause: float) -> None:
        self._act = act
        self._luck = luck
        self._longest_pause = longest_pause
        self._ticks: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Heed ticks from now on."""
        self._ticks = queue.SimpleQueue()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def tick(self) -> None:
        """Something happened; ignored while stopped."""
        if self._thread is not None:
            self._ticks.put(True)

    def stop(self) -> None:
        """Return when `act` is not running and will not run; raises what it raised."""
        if self._thread is not None:
            self._stopping.set()
            self._ticks.put(False)
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error

    def _listen(self) -> None:
        try:
            while self._ticks.get() and not self._stopping.wait(self._luck.uniform(0, self._longest_pause)):
                self._act()
        except BaseException as error:  # noqa: BLE001 - told to whoever stops the thread
            self._error = error
