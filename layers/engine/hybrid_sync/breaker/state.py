"""The breaker of one database as a value: closed; open until a moment; from then on half open, for one probe at a time.

Pure rules: the moment is handed in, and each rule gives the next value.  A probe is taken by setting its taker's name
and a later moment, so that whoever takes it and dies is followed by another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import UNAVAILABLE, Side, SyncError

SIDES: tuple[Side, ...] = ("legacy", "target")
WINDOW = timedelta(minutes=2)
MOST_FAILURES = 3
"""Connections that fail within the window, and none that succeeds between them, until it opens."""
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (15, 30, 60))
"""Before the first probe, the second, and each later one."""
PAUSES_FOR_A_PERSON = tuple(timedelta(seconds=seconds) for seconds in (60, 120, 300))
"""Where somebody has to change a setting: servers and poolers bar whoever shows a wrong password too often."""
PROBE = timedelta(seconds=60)
"""How long a probe may take: a connection gives up after ten seconds for each host of its DSN."""
REMINDED = timedelta(hours=24)
NOTIFYING = timedelta(seconds=60)
"""How long one who sends an alert keeps others from doing so."""


@dataclass(frozen=True)
class Refusal:
    """Why a database lets nobody in: the failure's code and sentence, and whether time alone cannot cure it."""

    code: str
    said: str
    needs_person: bool

    @classmethod
    def of(cls, error: SyncError) -> Refusal:
        return cls(error.code, str(error), error.needs_person)


NOTHING = Refusal("", "", needs_person=False)


@dataclass(frozen=True)
class Breaker:
    """Of one database; `away_since` is None while it is closed."""

    failed_at: tuple[datetime, ...] = ()
    """While it is closed: recent failures that may open it."""
    away_since: datetime | None = None
    """The first of the failures that opened it."""
    opened_at: datetime | None = None
    why: Refusal = NOTHING
    probes: int = 0
    """That failed since it opened."""
    next_probe: datetime | None = None
    prober: str = ""
    """Who has taken the last probe."""
    told_at: datetime | None = None
    """When people heard that it is away, the last time; None where they have not, or know that it is over."""
    telling_until: datetime | None = None
    was_away: tuple[datetime, datetime] | None = None
    """The last outage, from and until, of which people know and of whose end they do not."""


def failed(breaker: Breaker, why: Refusal, now: datetime, prober: str = "") -> Breaker:
    """A connection has failed; `prober` names the probe that it was."""
    if breaker.away_since is not None:
        if not prober or breaker.prober != prober:
            return breaker  # an attempt from before it opened says nothing new
        again = breaker.probes + 1
        return replace(breaker, why=why, probes=again, prober="", next_probe=now + _pause(why, again))
    recent = (*(at for at in breaker.failed_at if now - at <= WINDOW), now)
    if len(recent) < MOST_FAILURES and not why.needs_person:
        return replace(breaker, failed_at=recent)
    return replace(
        breaker, failed_at=(), away_since=recent[0], opened_at=now, why=why, probes=0, prober="",
        next_probe=now + _pause(why, 0),
    )  # fmt: skip


def passed(breaker: Breaker, began: datetime, now: datetime) -> Breaker:
    """A connection that was begun at that moment has succeeded; one from before it opened proves nothing."""
    if breaker.away_since is None:
        later = tuple(at for at in breaker.failed_at if at > began)
        return replace(breaker, failed_at=later)
    if breaker.opened_at is not None and began < breaker.opened_at:
        return breaker
    known = (breaker.away_since, now) if breaker.told_at is not None else breaker.was_away
    return Breaker(was_away=known, telling_until=breaker.telling_until)


def probing(breaker: Breaker, name: str, now: datetime, *, forced: bool = False) -> Breaker:
    """The breaker with the probe taken by `name`, where one is due; `forced`: a person asks for it now."""
    if breaker.away_since is None or breaker.next_probe is None or (now < breaker.next_probe and not forced):
        return breaker
    return replace(breaker, prober=name, next_probe=now + PROBE)


def due(breaker: Breaker, now: datetime) -> Breaker:
    """The breaker with a probe due at once: something has been changed that may have been the cause."""
    return breaker if breaker.away_since is None else replace(breaker, next_probe=now, prober="")


def refusal(side: Side, breaker: Breaker, now: datetime) -> SyncError:
    """The error that every attempt to connect gets at once."""
    error = UNAVAILABLE[side](sentence(side, breaker), f"It is tried again at {_clock(breaker.next_probe)}.")
    error.away = True
    error.retry_after = _seconds(breaker, now)
    return error


def sentence(side: Side, breaker: Breaker) -> str:
    """Since when it is away, and why."""
    since = breaker.away_since
    person = " Waiting does not cure that: a person has to." if breaker.why.needs_person else ""
    return f"The {side} database has been away since {since:%Y-%m-%d %H:%M} UTC. {breaker.why.said}{person}"


def waiting_for(breakers: Mapping[Side, Breaker]) -> str:
    """Why nothing goes on that needs the databases; empty where both let us in."""
    return " ".join(
        f"{sentence(side, breaker)} Next probe at {_clock(breaker.next_probe)}."
        for side, breaker in breakers.items()
        if breaker.away_since is not None
    )


def has_news(breaker: Breaker, now: datetime) -> bool:
    """Whether an alert is due that nobody is sending."""
    if breaker.telling_until is not None and now < breaker.telling_until:
        return False
    if breaker.away_since is None:
        return breaker.was_away is not None
    return breaker.told_at is None or now - breaker.told_at >= REMINDED


def notifying(breaker: Breaker, now: datetime) -> Breaker:
    """Somebody sends the alert now."""
    return replace(breaker, telling_until=now + NOTIFYING) if has_news(breaker, now) else breaker


def notified(breaker: Breaker, of: Breaker, now: datetime) -> Breaker:
    """People know what the breaker was (`of`) when the alert was sent; what has changed since is news."""
    if of.away_since is None:
        over = breaker.was_away == of.was_away
        return replace(breaker, was_away=None if over else breaker.was_away, telling_until=None)
    if breaker.away_since == of.away_since:
        return replace(breaker, told_at=now, telling_until=None)
    if breaker.away_since is None:  # it has closed while the alert was sent
        return replace(breaker, was_away=(of.away_since, now), telling_until=None)
    return replace(breaker, telling_until=None)


def _pause(why: Refusal, probes: int) -> timedelta:
    pauses = PAUSES_FOR_A_PERSON if why.needs_person else PAUSES
    return pauses[min(probes, len(pauses) - 1)]


def _seconds(breaker: Breaker, now: datetime) -> int:
    """Until the next probe; a moment where it is under way."""
    left = (breaker.next_probe - now).total_seconds() if breaker.next_probe else 0.0
    return max(1, min(int(left) + 1, int(PAUSES_FOR_A_PERSON[-1].total_seconds())))


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S} UTC" if moment else "once"
