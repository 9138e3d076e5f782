"""Tend breakers: try a database again that refuses connections, and alert people that it is away, and that it is
back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from hybrid_sync.alerts import Alert
from hybrid_sync.breaker.breakers import Breakers
from hybrid_sync.breaker.state import SIDES, Breaker, sentence
from hybrid_sync.errors import Side, SyncError
from hybrid_sync.retries import AWAY_HOURS
from hybrid_sync.world import Alerts

CURES: Mapping[Side, str] = {
    "legacy": "Runs wait for it, and go on by themselves; look at the server, or at legacy_dsn in the secret.",
    "target": "Runs wait for it, and go on by themselves; look at the server, or at target_dsn in the secret.",
}


class Tending(Protocol):
    """With the breakers."""

    @property
    def breakers(self) -> Breakers: ...

    @property
    def alerts(self) -> Alerts: ...

    def probe(self, side: Side) -> None:
        """Open a new connection to the side and close it; raises why it cannot be opened."""
        ...


def tend_breakers(world: Tending) -> None:
    """Probe each database whose probe is due, then send the alerts; raises where an alert could not be sent, and the
    next call sends it."""
    for side in world.breakers.due():
        with suppress(SyncError):  # its breaker has it
            world.probe(side)
    for side in SIDES:
        news = world.breakers.begin_notifying(side)
        if news is not None:
            world.alerts.publish(_gone(side, news) if news.away_since is not None else _back(side, news))
            world.breakers.have_notified(side, news)


def _gone(side: Side, breaker: Breaker) -> Alert:
    return Alert(
        title=f"the {side} database is away",
        lines=(
            sentence(side, breaker), "What needs it waits, and says so; the API answers 503.",
            f"A run waits for {AWAY_HOURS}, and fails then.",
        ),
        urgent=True, cause=f"breaker/{side}", remedy=CURES[side], command="hybrid-sync check", path="#servers",
    )  # fmt: skip


def _back(side: Side, breaker: Breaker) -> Alert:
    from hybrid_sync.report.words import age  # once in an outage

    assert breaker.was_away is not None
    since, until = breaker.was_away
    return Alert(
        title=f"the {side} database is back",
        lines=(f"It was away for {age(until - since)}, since {since:%Y-%m-%d %H:%M} UTC; what has waited goes on.",),
        cause=f"breaker/{side}", command="hybrid-sync status", path="#servers",
    )  # fmt: skip
