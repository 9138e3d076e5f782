"""Whether the databases and the id map answer: asked side by side, within two seconds, and remembered for fifteen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from hybrid_sync.errors import SyncError
from hybrid_sync.postgres import Connection, Side, transaction
from hybrid_sync.services.views.model import Server

LEGACY, TARGET, ID_MAP = "Legacy", "Target", "Id map"
PATIENCE = 2.0
KEPT = 15.0


class Servers:
    """What is asked, by the name that people read; a question that hangs is not asked a second time beside it."""

    def __init__(self, asks: Mapping[str, Callable[[], object]], clock: Callable[[], float] = time.monotonic) -> None:
        self._asks = dict(asks)
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=max(len(self._asks), 1))
        self._lock = threading.Lock()
        self._asked: dict[str, tuple[float, Future[Server]]] = {}

    def look(self) -> tuple[Server, ...]:
        """How each of them is."""
        with self._lock:
            futures = {name: self._future(name) for name in self._asks}
        wait(futures.values(), timeout=PATIENCE)
        return tuple(
            future.result()
            if future.done()
            else Server(name=name, ok=False, said=f"No answer within {PATIENCE:.0f} s.")
            for name, future in futures.items()
        )

    def _future(self, name: str) -> Future[Server]:
        known = self._asked.get(name)
        if known is not None and (not known[1].done() or self._clock() - known[0] < KEPT):
            return known[1]
        future = self._pool.submit(self._ask, name)
        self._asked[name] = (self._clock(), future)
        return future

    def _ask(self, name: str) -> Server:
        began = time.perf_counter()
        try:
            self._asks[name]()
        except SyncError as error:
            return Server(name=name, ok=False, said=str(error))
        return Server(name=name, ok=True, milliseconds=round((time.perf_counter() - began) * 1000))


def asked_of(
    legacy: Callable[[], Connection], target: Callable[[], Connection], id_map: Callable[[], object]
) -> dict[str, Callable[[], object]]:
    """The questions: one empty statement to each database, one item of the id map."""
    return {LEGACY: lambda: _ask(legacy, "legacy"), TARGET: lambda: _ask(target, "target"), ID_MAP: id_map}


def _ask(connect: Callable[[], Connection], side: Side) -> None:
    with connect() as connection, transaction(connection, side, read_only=True):
        connection.execute("select 1")
