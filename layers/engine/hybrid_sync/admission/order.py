"""Who is next: pure rules over who waits and who holds a slot.

One slot is for critical jobs alone.  So a critical job starts at once while no other one runs, and at the first free
slot otherwise, except that nobody starves: a head of another line that has waited for PATIENCE while nobody of its line
ran goes first, to a slot that is not the critical one.  Scheduled runs go before ordinary jobs, one at a time: a flood
of ordinary jobs delays the weekly run until the first of them ends, and no long run takes both slots from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import field
from datetime import datetime, timedelta

from hybrid_sync.admission.job import Line, Waiting
from hybrid_sync.dataclass import dataclass

PATIENCE = timedelta(minutes=10)
_OTHERS = (Line.scheduled, Line.ordinary)


@dataclass(frozen=True)
class Slots:
    """Who holds a slot, as one item holds it; each change makes the next version."""

    version: int = 0
    holders: Mapping[str, Holder] = field(default_factory=dict)
    paused: str = ""
    """Since when, by whom and why nothing is started; empty while it is."""

    def closed(self, most: int) -> bool:
        """Nothing may start, whatever waits."""
        return bool(self.paused) or len(self.holders) >= most

    def held(self) -> Counter[Line]:
        """Slots in use, by line."""
        return Counter(holder.line for holder in self.holders.values())


@dataclass(frozen=True)
class Holder:
    """A slot in use.  `starter` is who alone may have tried to start its job, unless the slot is taken over."""

    line: Line
    starter: str


def next_job(waiting: Collection[Waiting], slots: Slots, most: int, now: datetime) -> Waiting | None:
    """The job that may start now; None where none may."""
    if slots.closed(most):
        return None
    held = slots.held()
    heads = _heads(waiting)
    open_to_all = held[Line.scheduled] + held[Line.ordinary] < most - 1
    if open_to_all:
        for line in _OTHERS:
            head = heads.get(line)
            if head is not None and not held[line] and now - head.accepted_at >= PATIENCE:
                return head
    if Line.critical in heads:
        return heads[Line.critical]
    if open_to_all and Line.scheduled in heads and not held[Line.scheduled]:
        return heads[Line.scheduled]
    return heads.get(Line.ordinary) if open_to_all else None


def _heads(waiting: Collection[Waiting]) -> dict[Line, Waiting]:
    """The first of each line."""
    heads: dict[Line, Waiting] = {}
    for job in sorted(waiting, key=lambda one: (one.place, one.job_id)):
        heads.setdefault(job.line, job)
    return heads


def why_it_waits(job: Waiting, place: int, slots: Slots, most: int) -> str:
    """In words; `place` counts from one."""
    if slots.paused:
        return f"Starts are paused: {slots.paused}."
    held = slots.held()
    running = ", ".join(sorted(slots.holders)) or "nobody"
    if len(slots.holders) >= most:
        return f"All {most} slots are taken, by {running}."
    if job.line is Line.scheduled and held[Line.scheduled]:
        return f"Another scheduled run is at work ({running})."
    if job.line is not Line.critical and held[Line.scheduled] + held[Line.ordinary] >= most - 1:
        return f"The last free slot is for critical jobs; the others are taken, by {running}."
    return "It is next, within a minute." if place == 1 else f"{place - 1} jobs go before it."
