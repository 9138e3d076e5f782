"""Which runs are slowed because somebody's capacity is used up: AWS asks us to slow down, a pooler has no connection
left.  Such a run waits and fails by nothing, so that nobody would hear of it otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from hybrid_sync.aws import Client
from hybrid_sync.breaker.item import ControlItem
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import SyncError

LASTS = timedelta(minutes=3)
"""What was throttled comes again within two minutes (`retries.THROTTLED`): after so long without a word it is over."""
EVERY = timedelta(seconds=20)
"""How often one worker says so of one run."""
KEPT = timedelta(seconds=3)
"""How long a worker believes what it has read."""


@dataclass(frozen=True)
class Throttle:
    """The throttling of one run: since when, when last, and by what."""

    since: datetime
    last: datetime
    why: str


Throttles = dict[str, Throttle]
"""By run id."""
_THROTTLES: TypeAdapter[Throttles] = TypeAdapter(Throttles)


def noted(known: Mapping[str, Throttle], run_id: str, why: str, now: datetime) -> Throttles:
    """The throttles after a step of the run was throttled; those that are over are left out."""
    alive = _alive(known, now)
    since = alive[run_id].since if run_id in alive else now
    return {**alive, run_id: Throttle(since, now, why)}


def in_words(known: Mapping[str, Throttle], now: datetime) -> dict[str, str]:
    """Why each run that is throttled is so."""
    return {run: f"{one.why.rstrip('.')}, since {one.since:%H:%M} UTC" for run, one in _alive(known, now).items()}


def _alive(known: Mapping[str, Throttle], now: datetime) -> Throttles:
    return {run: one for run, one in known.items() if now - one.last < LASTS}


class Throttling:
    """The item `throttled` of a deployment's control table."""

    def __init__(self, table: str, client: Client, now: Callable[[], datetime]) -> None:
        self._item = ControlItem(table, client, "throttled", _THROTTLES, {})
        self._now = now
        self._said: dict[str, datetime] = {}
        self._seen: tuple[datetime, Throttles] | None = None

    def note(self, run_id: str, why: str) -> None:
        """A step of the run was throttled. Where the table does not answer, only the log says so."""
        now = self._now()
        if run_id in self._said and now - self._said[run_id] < EVERY:
            return
        self._said = {run_id: now}
        try:
            self._item.change(lambda known: noted(known, run_id, why, now))
        except SyncError:
            return

    def said(self) -> dict[str, str]:
        """Of each run that is throttled, since when and why; nothing where the table does not answer."""
        now = self._now()
        if self._seen is None or not now - KEPT < self._seen[0] <= now:
            try:
                self._seen = now, self._item.read()
            except SyncError:
                self._seen = now, {}
        return in_words(self._seen[1], now)
