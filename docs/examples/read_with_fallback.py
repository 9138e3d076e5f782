"""Read an entity from Supabase while hybrid-sync vouches for it there, and from the legacy database otherwise.

An example to copy: Python 3.11 and nothing else.  docs/fallback.md says why it does what it does.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
ASKS_FOR = 2.0
"""Seconds until an API that does not answer counts as away."""
ASKS_AGAIN_AFTER = 15.0
"""Seconds between two questions to an API that is away: a reader waits for one of them, and not for each."""


@dataclass(frozen=True)
class Route:
    """What hybrid-sync has said of an entity, and until when that may be acted on."""

    serve: str
    until: float
    why: tuple[str, ...] = ()


class Router:
    """Whether to read from `target` or `legacy`, by GET /v1/entities/{entity}/route.

    An answer counts for its `ttl_seconds`, also while the API is away.  After that legacy is read, which is right
    whatever has become of the target, until the API answers again.
    """

    def __init__(
        self, api_url: str, token: str, max_age_seconds: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._query = "" if max_age_seconds is None else f"?max_age_seconds={max_age_seconds}"
        self._clock = clock
        self._known: dict[str, Route] = {}
        self._lock = threading.Lock()

    def route(self, entity: str) -> Route:
        """Never an error: an API that is away, or refuses us, means legacy."""
        with self._lock:  # readers that come at the same time ask once
            known = self._known.get(entity)
            if known is None or self._clock() >= known.until:
                known = self._known[entity] = self._asked(entity)
            return known

    def doubt(self, entity: str) -> None:
        """The target has just failed a reader: ask again sooner, and until then read legacy."""
        with self._lock:
            self._known[entity] = Route("legacy", self._clock() + ASKS_AGAIN_AFTER, ("target_failed_us",))

    def _asked(self, entity: str) -> Route:
        asked = self._clock()
        address = f"{self._api_url}/v1/entities/{urllib.parse.quote(entity)}/route{self._query}"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=ASKS_FOR) as answer:
                said = json.load(answer)
            # From the moment of the question: the answer may have been on its way for a while.
            return Route(str(said["serve"]), asked + float(said["ttl_seconds"]), tuple(said["why"]))
        except (OSError, ValueError, KeyError, TypeError) as error:  # HTTPError and time-outs are OSErrors
            return Route("legacy", self._clock() + ASKS_AGAIN_AFTER, (f"api: {type(error).__name__}",))


def read(
    router: Router,
    entity: str,
    target: Callable[[], T],
    legacy: Callable[[], T],
    failures: tuple[type[Exception], ...] = (OSError,),
) -> T:
    """The rows, from where they are right.

    `target` and `legacy` are your two queries, by UUID there and by legacy key here; `failures` are what your drivers
    raise when a server is away.  A target that fails is answered for by legacy.  A legacy that fails is an error: rows
    for which hybrid-sync does not vouch are none that a reader may be given without knowing it.
    """
    if router.route(entity).serve == "target":
        try:
            return target()
        except failures:
            router.doubt(entity)
    return legacy()
