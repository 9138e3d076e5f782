"""How many batches may be at work at once: as many as there are workers, until a database says that it is too much.

Pure rules, after TCP's (additive increase, multiplicative decrease: Chiu and Jain 1989): trouble halves the number, and
some batches that went well make it one more.  Only what is shed is counted, so that a deployment without trouble
writes nothing.  Step Functions knows a map's MaxConcurrency from its start on, so the surplus is started, finds no
permit, and comes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta

from hybrid_sync.dataclass import dataclass

PAUSE = timedelta(seconds=20)
"""Trouble within it is the same one: several workers wait for one lock."""
GOOD = 5
"""Batches that go well until one more may be at work."""
LASTS = timedelta(minutes=15)
"""After so long without trouble nothing is shed any more; nor does a permit outlast it, whose holder has died."""


@dataclass(frozen=True)
class Load:
    """`most` is None while nothing is shed."""

    most: int | None = None
    at_work: Mapping[str, datetime] = field(default_factory=dict)
    """Who has a permit, since when."""
    good: int = 0
    """Batches that went well since it last changed."""
    pressed_at: datetime | None = None
    why: str = ""


def halved(load: Load, why: str, workers: int, now: datetime) -> Load:
    """Half as many batches from now on: a database has trouble (a lock, a slow statement, a lagging replica)."""
    if load.most is not None and load.pressed_at is not None and now - load.pressed_at < PAUSE:
        return load
    most = workers if load.most is None or is_over(load, now) else load.most
    return Load(max(1, most // 2), _alive(load, now), 0, now, why)


def with_permit(load: Load, name: str, now: datetime) -> Load:
    """The load with a permit for the batch of this name; unchanged where no permit is left."""
    if load.most is None or is_over(load, now):
        return Load()
    alive = _alive(load, now)
    if name not in alive and len(alive) >= load.most:
        return load
    return replace(load, at_work={**alive, name: now})


def permit_returned(load: Load, name: str, workers: int, now: datetime, *, well: bool) -> Load:
    """The load without the permit of a batch that has ended, `well` or with trouble."""
    if load.most is None or is_over(load, now):
        return Load()
    left = {other: since for other, since in _alive(load, now).items() if other != name}
    if not well:
        return replace(load, at_work=left)
    if load.good + 1 < GOOD:
        return replace(load, at_work=left, good=load.good + 1)
    return Load() if load.most + 1 >= workers else replace(load, at_work=left, good=0, most=load.most + 1)


def is_over(load: Load, now: datetime) -> bool:
    """There was no trouble for so long that nothing is shed."""
    return load.pressed_at is not None and now - load.pressed_at >= LASTS


def sentence(load: Load, now: datetime) -> str:
    """What is shed and why, in a sentence; empty while nothing is."""
    if load.most is None or is_over(load, now):
        return ""
    batches = "1 batch is" if load.most == 1 else f"{load.most} batches are"
    return f"At most {batches} at work at once since {load.pressed_at:%H:%M} UTC: {load.why}"


def _alive(load: Load, now: datetime) -> dict[str, datetime]:
    return {name: since for name, since in load.at_work.items() if now - since < LASTS}
