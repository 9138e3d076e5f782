"""The breakers of a deployment as a worker uses them: each new connection asks before, and says what became of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from hybrid_sync.breaker import state
from hybrid_sync.breaker.state import SIDES, Breaker, Refusal
from hybrid_sync.breaker.store import Both, BreakerStore
from hybrid_sync.errors import Side, SyncError

KEPT = timedelta(seconds=3)
"""How long a worker believes what it has read."""


class Breakers:
    """`looks`: a person wants to know how it is now, so that each connection is a probe."""

    def __init__(self, store: BreakerStore, now: Callable[[], datetime], *, looks: bool = False) -> None:
        self._store = store
        self._now = now
        self._looks = looks
        self._seen: tuple[datetime, Both] | None = None

    @contextmanager
    def guarding(self, side: Side) -> Iterator[None]:
        """Around one attempt to connect: raises at once while others try, and records how this one ends.

        What keeps a database from letting us in leaves as what is waited for, whatever it is.
        """
        began = self._now()
        prober = self._let_in(side, began)
        try:
            yield
        except SyncError as error:
            why = Refusal.of(error)
            self._change(side, lambda breaker: state.failed(breaker, why, self._now(), prober))
            if not error.throttled:
                error.transient = error.away = True
            raise
        seen = self.both()[side]
        if prober or seen.failed_at or seen.away_since is not None:
            self._change(side, lambda breaker: state.passed(breaker, began, self._now()))

    def both(self) -> Both:
        """As they were some seconds ago; closed where the table does not answer."""
        now = self._now()
        if self._seen is None or not now - KEPT < self._seen[0] <= now:
            try:
                self._seen = now, self._store.read()
            except SyncError:
                self._seen = now, {side: Breaker() for side in SIDES}
        return self._seen[1]

    def waiting_for(self, sides: Collection[Side] = SIDES) -> str:
        """Why nothing starts that needs these databases; empty where they let us in."""
        return state.waiting_for({side: one for side, one in self.both().items() if side in sides})

    def due(self) -> list[Side]:
        """The databases that are to be tried again."""
        return [
            side for side, one in self.both().items() if one.next_probe is not None and one.next_probe <= self._now()
        ]

    def try_again(self) -> None:
        """Something that may have been the cause was changed: the next attempt to connect is a probe."""
        for side, breaker in self.both().items():
            if breaker.away_since is not None:
                self._change(side, lambda one: state.due(one, self._now()))

    def begin_notifying(self, side: Side) -> Breaker | None:
        """The breaker to alert people of; None where there is no news, or another process sends it."""
        if not state.has_news(self.both()[side], self._now()):
            return None
        both, mine = self._change(side, lambda breaker: state.notifying(breaker, self._now()))
        return both[side] if mine else None

    def have_notified(self, side: Side, of: Breaker) -> None:
        """The alert about `of` was sent."""
        self._change(side, lambda breaker: state.notified(breaker, of, self._now()))

    def _let_in(self, side: Side, now: datetime) -> str:
        """The name of the probe that this attempt is; empty where it is none."""
        breaker = self.both()[side]
        if breaker.away_since is None:
            return ""
        name = secrets.token_hex(6)
        if self._looks or (breaker.next_probe is not None and breaker.next_probe <= now):
            both, mine = self._change(side, lambda one: state.probing(one, name, now, forced=self._looks))
            breaker = both[side]
            if mine or breaker.away_since is None:
                return name if mine else ""
        raise state.refusal(side, breaker, now)

    def _change(self, side: Side, rule: Callable[[Breaker], Breaker]) -> tuple[Both, bool]:
        try:
            both, changed = self._store.change(side, rule)
        except SyncError:  # nobody is kept from work because this cannot be written down
            return self.both(), False
        self._seen = self._now(), both
        return both, changed
