"""When the clock starts the next run: EventBridge's cron expressions, worked out here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
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
    form = _FORM.match(schedule.expression)
    if form is None:
        return None
    try:
        zone = ZoneInfo(schedule.zone)
        minutes, hours = _numbers(form[1], 0, 59), _numbers(form[2], 0, 23)
        days, months = _numbers(form[3], 1, 31), _numbers(form[4], 1, 12, _MONTHS, 1)
        weekdays, years = _numbers(form[5], 1, 7, _DAYS, 1), _numbers(form[6], 1970, 2199)
    except (ValueError, ZoneInfoNotFoundError):
        return None
    local = after.astimezone(zone)
    for ahead in range(_LOOKED_AHEAD):
        day = (local + timedelta(days=ahead)).date()
        if day.month in months and day.day in days and day.year in years and day.isoweekday() % 7 + 1 in weekdays:
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
                    # A time that the clock leaves out in spring is no start.
                    there = at.astimezone(zone)
                    if at > after and (there.hour, there.minute) == (hour, minute):
                        return at
    return None


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
    return names.index(text) + first if text in names else int(text)
