"""From a critical event's request to its row's being seen in the target: idle, beside a weekly run, in a burst, cold.

Each kind of request alternates with an execution that does nothing, which is what the service itself takes.  Times are
those of a client: they begin before the request is sent, and end when a connection of its own sees the row.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median, quantiles

from bench.ondemand.cold import end_workers
from bench.ondemand.empty import Empty
from bench.ondemand.events import Caller, Event, Watcher
from bench.ondemand.ground import ground
from bench.ondemand.load import Load
from bench.ondemand.processor import spent
from hybrid_sync_cli.stack import Stack

BURST = 50
EMPTY_EVERY = 5
"""Requests to one empty execution."""
COLD_ROUNDS = 5
_WARMING = 5


@dataclass
class Spell:
    """Requests of one kind, and the empty executions among them; seconds."""

    events: list[Event] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [event.seconds for event in self.events]


class Contest:
    """The measurements on one stack."""

    def __init__(self, stack: Stack, caller: Caller, watcher: Watcher, seed: int) -> None:
        self._stack = stack
        self._watcher = watcher
        self._luck = random.Random(seed)
        self._caller = caller
        self._empty = Empty(stack)

    def warm_up(self) -> None:
        """The first requests start workers."""
        for _ in range(_WARMING):
            self._one(self._caller.any(self._luck))

    def spell(self, requests: int, go_on: Callable[[], None] = lambda: None) -> Spell:
        """So many requests on random payments, one a second on average; `go_on` may hold up the next one."""
        spell = Spell()
        with ThreadPoolExecutor(BURST) as pool:
            asked = []
            due = time.monotonic()
            for n in range(requests):
                held_up = time.monotonic()
                go_on()
                due += time.monotonic() - held_up
                due += self._luck.expovariate(1.0)
                [event] = self._caller.change([self._caller.any(self._luck)])
                time.sleep(max(0.0, due - time.monotonic()))
                asked.append(pool.submit(self._caller.ask, event))
                spell.events.append(event)
                if n % EMPTY_EVERY == 0:
                    spell.empty.append(self._empty.seconds())
            for sent in asked:
                sent.result()
        self._watcher.wait()
        return spell

    def burst(self, go_on: Callable[[], None] = lambda: None) -> float:
        """Seconds until the last of many requests at once is in the target."""
        go_on()
        events = self._caller.change(self._luck.sample(self._caller.payments, BURST))
        gate = threading.Barrier(BURST)

        def ask(event: Event) -> None:
            gate.wait()
            self._caller.ask(event)

        with ThreadPoolExecutor(BURST) as pool:
            list(pool.map(ask, events))
        self._watcher.wait()
        return max(event.seen for event in events) - min(event.sent for event in events)

    def cold(self) -> Event:
        """One request when no worker lives and the token is a new one."""
        self._caller.renew()
        end_workers(self._stack)
        return self._one(self._caller.any(self._luck))

    def _one(self, key: int) -> Event:
        [event] = self._caller.change([key])
        self._caller.ask(event)
        self._watcher.wait()
        return event


def contest(requests: int, rows: int, ask: type[Caller] = Caller, seed: int = 1) -> int:
    """Print a line `ONDEMAND …`: beside a weekly run of so many rows, then on an idle stack."""
    with ground(print) as stack, Watcher(stack.target_dsn).watching() as watcher:
        measured = Contest(stack, ask(stack, watcher), watcher, seed)
        measured.warm_up()
        with spent(requests) as processor:
            idle = measured.spell(requests)
        print("CPU ms a request: " + " ".join(f"{part}={ms}" for part, ms in processor.items()))
        burst = measured.burst()
        with Load(stack, rows).at_work() as load:
            loaded = measured.spell(requests, load.go_on)
        told = {
            "p50": median(loaded.seconds), "p95": _p95(loaded.seconds), "n": len(loaded.events),
            "idle_p50": median(idle.seconds), "empty_execution": median(idle.empty), "burst_last": burst,
            "idle_p95": _p95(idle.seconds), "loaded_empty": median(loaded.empty), "rows_brought": load.brought,
        }  # fmt: skip
        print("ONDEMAND " + " ".join(f"{name}={_written(value)}" for name, value in told.items()))
    return 0


def cold(ask: type[Caller] = Caller, seed: int = 1) -> float:
    """Print a line `COLD …`: requests that find no worker; their median."""
    with ground(print) as stack, Watcher(stack.target_dsn).watching() as watcher:
        measured = Contest(stack, ask(stack, watcher), watcher, seed)
        measured.warm_up()
        events = [measured.cold() for _ in range(COLD_ROUNDS)]
        seconds = [event.seconds for event in events]
        accepted = [event.accepted - event.sent for event in events]
        told = {"p50": median(seconds), "max": max(seconds), "n": len(events), "accepted_p50": median(accepted)}
        print("COLD " + " ".join(f"{name}={_written(value)}" for name, value in told.items()))
    return median(seconds)


def _p95(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=20, method="inclusive")[-1]


def _written(value: object) -> str:
    return f"{value:.3f}s" if isinstance(value, float) else str(value)
