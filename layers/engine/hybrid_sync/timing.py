"""Where a call's time goes: its parts by name, and in each how long either database let us wait.

It asks nobody anything: clocks are read around what is done anyway.  A worker serves one call at a time, so what was
measured since its call began is the call's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import NamedTuple

CONNECT, REFUSED, START = "connect", "refused", "start"
"""Parts that no step names: opening a connection, being let in by nobody because all are used, a worker's start."""


class Times(NamedTuple):
    """How often, how long together, the shortest and the longest, in microseconds."""

    number: int
    micros: int
    least: int
    most: int

    def plus(self, other: Times) -> Times:
        return Times(
            self.number + other.number, self.micros + other.micros, min(self.least, other.least),
            max(self.most, other.most),
        )  # fmt: skip


Taken = dict[str, Times]
"""By `part` or `part/entity`, for all of its own time, and by that and a side: the waits for that side within it."""


class Clock:
    """What the current call has spent."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spent: Taken = {}

    def add(self, name: str, seconds: float) -> None:
        micros = round(seconds * 1_000_000)
        one = Times(1, micros, micros, micros)
        with self._lock:
            before = self._spent.get(name)
            self._spent[name] = one if before is None else before.plus(one)

    def take(self) -> Taken:
        """What was spent since the last time."""
        with self._lock:
            taken, self._spent = self._spent, {}
        return taken


CLOCK = Clock()


class _Open:
    """A part that is going on."""

    __slots__ = ("about", "name", "within")

    def __init__(self, part: str, about: str) -> None:
        self.about = about
        self.name = f"{part}/{about}" if about else part
        self.within = 0.0
        """Seconds of the parts within it, which are their own."""


_CURRENT: ContextVar[_Open | None] = ContextVar("part", default=None)


@contextmanager
def timed(part: str, about: str = "") -> Iterator[None]:
    """What is done within is this part's, except for parts within it; around a function, too (`@timed("read")`).

    `about`: the entity that it and the parts within are about, where the call is about several.
    """
    outer = _CURRENT.get()
    own = _Open(part, about or (outer.about if outer else ""))
    token = _CURRENT.set(own)
    began = time.perf_counter()
    try:
        yield
    finally:
        spent = time.perf_counter() - began
        _CURRENT.reset(token)
        if outer is not None:
            outer.within += spent
        CLOCK.add(own.name, max(spent - own.within, 0.0))


def waited(side: str, seconds: float) -> None:
    """A message was answered by this side."""
    current = _CURRENT.get()
    CLOCK.add(f"{current.name if current else ''} {side}", seconds)
