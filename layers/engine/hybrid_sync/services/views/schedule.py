"""When the clock starts the next run: EventBridge's cron expressions, worked out here."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hybrid_sync.dataclass import dataclass

_FORM = re.compile(r"^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LOOKED_AHEAD = 400
"""Days: a year and a bit; of what comes later only the expression is shown."""


@dataclass(frozen=True)
class Schedule:
    """One clock of the deployment."""

    title: str
    expression: str
    zone: str
    profile: str = ""
    """Of the runs that it starts."""


def next_time(schedule: Schedule, after: datetime) -> datetime | None:
    """The first moment after `after` at which it starts; None where it cannot be computed (L, W and # are not read)."""
    clock = Clock.read(schedule)
    if clock is None:
        return None
    today = after.astimezone(clock.zone).date()
    for ahead in range(_LOOKED_AHEAD):
        for at in clock.starts(today + timedelta(days=ahead)):
            if at > after and not left_out(at):
                return at.astimezone(UTC)
    return None


def left_out(at: datetime) -> bool:
    """Whether the clock of its zone leaves this time out, as an hour in spring: nothing starts then."""
    return at.astimezone(UTC).astimezone(at.tzinfo).replace(tzinfo=None) != at.replace(tzinfo=None)


@dataclass(frozen=True)
class Clock:
    """What an expression stands for."""

    zone: ZoneInfo
    minutes: set[int]
    hours: set[int]
    days: set[int]
    months: set[int]
    weekdays: set[int]
    years: set[int]

    @classmethod
    def read(cls, schedule: Schedule) -> Clock | None:
        """None of what is not read here."""
        form = _FORM.match(schedule.expression.strip())
        if form is None:
            return None
        try:
            return cls(
                ZoneInfo(schedule.zone), _numbers(form[1], 0, 59), _numbers(form[2], 0, 23), _numbers(form[3], 1, 31),
                _numbers(form[4], 1, 12, _MONTHS, 1), _numbers(form[5], 1, 7, _DAYS, 1), _numbers(form[6], 1970, 2199),
            )  # fmt: skip
        except (ValueError, ZoneInfoNotFoundError):
            return None

    def starts(self, day: date) -> list[datetime]:
        """The times of that day, in the zone and in order, those too that the clock leaves out."""
        if not (
            day.month in self.months and day.day in self.days and day.year in self.years
            and day.isoweekday() % 7 + 1 in self.weekdays
        ):  # fmt: skip
            return []
        return [
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
        ]


def _numbers(part: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0) -> set[int]:
    """What a field of the expression stands for; ValueError for what is not read here."""
    found: set[int] = set()
    for item in part.split(","):
        span, _, step = item.partition("/")
        begin, _, end = span.partition("-")
        if span in ("*", "?"):
            lowest, highest = low, high
        else:
            lowest = _number(begin, names, first)
            highest = _number(end, names, first) if end else high if step else lowest
        found |= set(range(lowest, highest + 1, int(step) if step else 1))
    return found


def _number(text: str, names: tuple[str, ...], first: int) -> int:
    return names.index(text.upper()) + first if text.upper() in names else int(text)
