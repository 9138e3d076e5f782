"""Spare the databases: a batch that meets their trouble says so, and while there is trouble fewer are at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from hybrid_sync.aws import Client
from hybrid_sync.breaker import load
from hybrid_sync.breaker.item import ControlItem
from hybrid_sync.breaker.load import Load
from hybrid_sync.errors import (
    Contention,
    LoadShed,
    SessionTimedOut,
    StatementTimeout,
    SyncError,
    TooManyConnections,
)

TROUBLE = (Contention, StatementTimeout, SessionTimedOut, TooManyConnections)
"""What fewer batches would have met less likely: locks, time limits, connections."""
KEPT = timedelta(seconds=3)
"""How long a worker believes what it has read."""
_LOAD: TypeAdapter[Load] = TypeAdapter(Load)


class Sparing:
    """The load of one deployment; `workers` batches of one run work side by side while nothing is shed.

    `lag` says of which replica of the target that it falls behind, or nothing.
    """

    def __init__(
        self, table: str, client: Client, now: Callable[[], datetime], workers: int, lag: Callable[[], str]
    ) -> None:
        self._item = ControlItem(table, client, "load", _LOAD, Load())
        self._now = now
        self._workers = workers
        self._lag = lag
        self._seen: tuple[datetime, Load] | None = None

    @contextmanager
    def sparing(self, name: str, *, critical: bool = False) -> Iterator[None]:
        """Around one batch of that name: LoadShed where too many are at work; a critical one never waits for others.

        Delivered again it has the permit that it had.
        """
        if not critical and self._load().most is not None:
            self._take(name)
        try:
            yield
        except TROUBLE as error:
            self._press(error.message)
            self._end(name, well=False)
            raise
        except BaseException:  # an interrupt too: a permit that nobody gives back would keep others waiting
            self._end(name, well=False)
            raise
        behind = self._lag()
        if behind:
            self._press(behind)
        self._end(name, well=not behind)

    def said(self) -> str:
        """What is shed and why; empty while nothing is."""
        return load.sentence(self._load(), self._now())

    def _take(self, name: str) -> None:
        self._change(lambda now: load.with_permit(now, name, self._now()))
        seen = self._load()
        if seen.most is not None and name not in seen.at_work:
            raise LoadShed(load.sentence(seen, self._now()), "It goes on as soon as it may.")

    def _press(self, why: str) -> None:
        self._change(lambda now: load.halved(now, why, self._workers, self._now()))

    def _end(self, name: str, *, well: bool) -> None:
        if self._load().most is not None:
            self._change(lambda now: load.permit_returned(now, name, self._workers, self._now(), well=well))

    def _load(self) -> Load:
        now = self._now()
        if self._seen is None or not now - KEPT < self._seen[0] <= now:
            try:
                self._seen = now, self._item.read()
            except SyncError:
                self._seen = now, Load()
        return self._seen[1]

    def _change(self, rule: Callable[[Load], Load]) -> None:
        """Apply the rule; where the table does not answer, no load is known, and no batch is held up."""
        try:
            self._seen = self._now(), self._item.change(rule)[0]
        except SyncError:
            self._seen = self._now(), Load()
