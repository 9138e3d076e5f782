"""What goes on beside the runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

_EVERY = 0.004


@contextmanager
def again_and_again(change: Callable[[], None]) -> Iterator[None]:
    """Call `change` every few milliseconds until the block ends, in a thread of its own."""
    ended = threading.Event()

    def keep_changing() -> None:
        while not ended.wait(_EVERY):
            change()

    with ThreadPoolExecutor(1) as beside:
        changing = beside.submit(keep_changing)
        try:
            yield
        finally:
            ended.set()
        changing.result()
