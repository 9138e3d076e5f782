"""Service levels as data: what was promised, what was measured, and whether it is enough."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from hybrid_sync.contracts import Message
from hybrid_sync.dataclass import dataclass

PERIOD_DAYS = 30
"""For so many days before the moment of asking runs, requests and answers count."""


class Outcome(StrEnum):
    """What was not measured is never met."""

    met = "met"
    missed = "missed"
    not_measured = "not measured"


class Level(Message):
    """One goal: what was `measured`, with its numbers, and `source`, where they come from.

    `part` of `whole` were as they ought to be, or `value` is what is compared with the goal: days, seconds, dollars.
    """

    name: str
    title: str
    goal: str
    outcome: Outcome
    measured: str
    part: float | None = None
    whole: float | None = None
    value: float | None = None
    source: str


@dataclass(frozen=True)
class Goal:
    """A goal before anybody has measured."""

    name: str
    title: str
    goal: str
    source: str

    def unknown(self, why: str) -> Level:
        return Level(
            name=self.name, title=self.title, goal=self.goal, outcome=Outcome.not_measured, measured=why,
            source=self.source,
        )  # fmt: skip

    def judged(
        self, measured: str, *, met: bool, part: float | None = None, whole: float | None = None,
        value: float | None = None,
    ) -> Level:  # fmt: skip
        return Level(
            name=self.name, title=self.title, goal=self.goal, outcome=judged(met=met), measured=measured, part=part,
            whole=whole, value=value, source=self.source,
        )  # fmt: skip


def judged(*, met: bool) -> Outcome:
    return Outcome.met if met else Outcome.missed


class EntityLevel(Message):
    """How old an entity is: everything that legacy committed before `complete_until` is in the target, verified."""

    entity: str
    title: str
    complete_until: datetime | None
    seconds: float | None
    outcome: Outcome

    @property
    def age(self) -> timedelta:
        return timedelta(seconds=self.seconds or 0)


class EventLevel(Message):
    """One critical request: `seconds` from its acceptance to the end of its verification, or until now."""

    run_id: str
    accepted_at: datetime
    seconds: float
    status: str
    outcome: Outcome


class Levels(Message):
    """All of them at one moment; `events` are the slowest of the period, the missed ones first."""

    at: datetime
    since: datetime
    levels: tuple[Level, ...]
    entities: tuple[EntityLevel, ...] = ()
    events: tuple[EventLevel, ...] = ()

    @property
    def stale(self) -> tuple[EntityLevel, ...]:
        """Entities older than they ought to be, or never carried."""
        return tuple(entity for entity in self.entities if entity.outcome is not Outcome.met)

    def of(self, outcome: Outcome) -> tuple[Level, ...]:
        return tuple(level for level in self.levels if level.outcome is outcome)

    @property
    def in_words(self) -> str:
        """`Of 15 goals 9 are met, 2 missed (money exact, cost of a month), 4 not measured`."""
        missed = self.of(Outcome.missed)
        names = f" ({', '.join(level.title for level in missed)})" if missed else ""
        return (
            f"Of {len(self.levels)} goals {len(self.of(Outcome.met))} are met, {len(missed)} missed{names},"
            f" {len(self.of(Outcome.not_measured))} not measured"
        )
