"""The cases' processes: each has servers of its own, and plays until none is left."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Iterable

from tests.cases.case import read
from tests.cases.ground import Servers, servers
from tests.cases.play import play
from tests.conftest import clear, new_home


def verdict(name: str, ground: Servers) -> list[str]:
    """What does not hold of the case; a crash of the engine is something that does not hold."""
    try:
        return play(read(name), ground)
    except Exception as error:  # noqa: BLE001 - whatever a case brings out must not end the others
        last = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}: {error}"]


def worker(
    part: int, waiting: multiprocessing.SimpleQueue[str | None], done: multiprocessing.SimpleQueue[object]
) -> None:
    """Play cases until there is none left, on servers of its own."""
    home = new_home(f"cases-{part}")
    try:
        with servers(home) as ground:
            while (name := waiting.get()) is not None:
                done.put((name, verdict(name, ground)))
    finally:
        clear(home)


def play_all(wanted: list[str], jobs: int) -> Iterable[tuple[str, list[str]]]:
    """Each case with what does not hold, as they end."""
    context = multiprocessing.get_context("spawn")
    waiting, done = context.SimpleQueue(), context.SimpleQueue()
    workers = [context.Process(target=worker, args=(n, waiting, done)) for n in range(min(jobs, len(wanted)))]
    for process in workers:
        process.start()
    for name in [*wanted, *[None] * len(workers)]:
        waiting.put(name)
    for _ in wanted:
        while done.empty():
            if not any(process.is_alive() for process in workers):
                raise SystemExit("The cases' processes have died.")
            time.sleep(0.05)
        yield done.get()
    for process in workers:
        process.join()
