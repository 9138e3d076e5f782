"""Actors who take turns: each stands before its next call to AWS until a seed lets it go on, kills it there, or kills
it with the call's effect done and its answer lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any


class Fate(Enum):
    goes_on = 0
    dies_before = 1
    dies_after = 2


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class Actor:
    """A thread that runs from call to call, only when it is told to."""

    def __init__(self, name: str, work: Callable[[Actor], None]) -> None:
        self.name = name
        self.ended = False
        self.error: BaseException | None = None
        self._fate = Fate.goes_on
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()
        self._stands.acquire()

    def step(self, fate: Fate) -> None:
        """One call, and on to the next."""
        self._fate = fate
        self._go.release()
        self._stands.acquire()

    def call(self, function: Callable[..., Any], **given: Any) -> Any:
        """Within the thread: wait for the turn, then call."""
        self._stands.release()
        self._go.acquire()
        if self._fate is Fate.dies_before:
            raise Killed
        try:
            return function(**given)
        finally:
            if self._fate is Fate.dies_after:
                raise Killed

    def _run(self, work: Callable[[Actor], None]) -> None:
        try:
            work(self)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, the schedule's author sees it
            self.error = error
        self.ended = True
        self._stands.release()


class Client:
    """An AWS client, each call of which is a turn of its actor."""

    def __init__(self, actor: Actor, client: Any) -> None:
        self._actor = actor
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name == "get_paginator":
            return lambda operation: _Pages(self._actor, self._client, operation)
        function = getattr(self._client, name)
        return lambda **given: self._actor.call(function, **given)


class _Pages:
    def __init__(self, actor: Actor, client: Any, operation: str) -> None:
        self._actor = actor
        self._pages = client.get_paginator(operation)

    def paginate(self, **given: Any) -> list[Any]:
        found: list[Any] = self._actor.call(lambda: list(self._pages.paginate(**given)))
        return found
