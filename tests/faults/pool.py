"""The worker processes: an order goes to an idle one; one that died is replaced, and its death is an answer too."""

from __future__ import annotations

import multiprocessing
import queue
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import ForkServerProcess

from hybrid_sync.failpoints import EXIT_CODE
from tests.faults.worker import CRASHED, DIED, Order, Place, Reply, work

HANGS_AFTER = 120.0
"""Seconds without an answer after which a worker is taken for hung, which is a defect."""

# multiprocessing looks after dead children whenever one is started, and two who read one's exit code at the same time
# spoil it for each other.
_processes = threading.Lock()


@dataclass
class Tally:
    """What happened to the workers."""

    passed: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    armed: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    crashes: int = 0

    def add(self, other: Tally) -> None:
        self.passed += other.passed
        self.fired += other.fired
        self.armed += other.armed
        self.orders += other.orders
        self.errors += other.errors
        self.crashes += other.crashes


class WorkerHung(Exception):
    """A step neither answered nor died."""


@dataclass
class _Worker:
    process: ForkServerProcess
    pipe: Pipe


class Pool:
    """`size` worker processes over `place`; forked from a server that has the engine imported already."""

    def __init__(self, place: Place, size: int, seed: int, tally: Tally) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.faults.worker"])
        self._place = place
        self._luck = random.Random(seed)
        self._lock = threading.Lock()
        # The last one in is the first one out: it has the run's plans compiled.
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._size = size
        self.tally = tally
        self._open()

    def call(self, order: Order) -> Reply:
        """Have the order done by the next idle worker; a death in the middle is a transient failure."""
        worker = self._idle.get()
        try:
            worker.pipe.send(order)
            if not worker.pipe.poll(HANGS_AFTER):
                worker.process.kill()
                raise WorkerHung(f"{order.step} did not answer within {HANGS_AFTER} s (armed: {list(order.faults)})")
            reply: Reply = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            reply = self._buried(worker, order)
            worker = self._hire()
        self._idle.put(worker)
        self._count(order, reply)
        return reply

    def close(self) -> None:
        """End every worker; call when none is at work."""
        for _ in range(self._size):
            worker = self._idle.get()
            worker.pipe.close()
            with _processes:
                worker.process.join()

    def renew(self) -> None:
        """New workers with connections of their own; call when none is at work."""
        self.close()
        self._open()

    def _open(self) -> None:
        for _ in range(self._size):
            self._idle.put(self._hire())

    def _hire(self) -> _Worker:
        with _processes:
            seed = self._luck.getrandbits(32)
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=work, args=(self._place, seed, theirs), daemon=True)
            process.start()
            theirs.close()
        return _Worker(process, ours)

    def _buried(self, worker: _Worker, order: Order) -> Reply:
        worker.pipe.close()
        with _processes:
            worker.process.join()
        if worker.process.exitcode != EXIT_CODE:
            return Reply(error=DIED, text=f"{order.step} died with exit code {worker.process.exitcode}")
        name = next(name for name in order.faults)
        return Reply(error=CRASHED, transient=True, passed={name: 1}, fired={name: 1})

    def _count(self, order: Order, reply: Reply) -> None:
        with self._lock:
            self.tally.orders[order.step] += 1
            self.tally.passed.update(reply.passed)
            self.tally.fired.update(reply.fired)
            if reply.error:
                self.tally.errors[f"{order.step}: {reply.error}"] += 1
                self.tally.crashes += reply.error == CRASHED
