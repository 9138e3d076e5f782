"""When a clock starts next: also on the days on which it is put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hybrid_sync.services.views.schedule import Schedule, next_time


def said(expression: str, zone: str, after: datetime) -> str:
    found = next_time(Schedule("Daily sync", expression, zone), after)
    assert found is not None
    return found.isoformat()


@pytest.mark.parametrize(
    ("zone", "expression", "after", "then"),
    [
        ("Europe/Berlin", "cron(30 2 * * ? *)", datetime(2026, 3, 28, 12, tzinfo=UTC), "2026-03-30T00:30:00+00:00"),
        ("Europe/Berlin", "cron(30 3 * * ? *)", datetime(2026, 3, 28, 12, tzinfo=UTC), "2026-03-29T01:30:00+00:00"),
        # There the clock goes from 02:00 to 02:30.
        ("Australia/Lord_Howe", "cron(15 2 * * ? *)", datetime(2026, 10, 3, 12, tzinfo=UTC),
         "2026-10-04T15:15:00+00:00"),
        ("Australia/Lord_Howe", "cron(45 2 * * ? *)", datetime(2026, 10, 3, 12, tzinfo=UTC),
         "2026-10-03T15:45:00+00:00"),
    ],
)  # fmt: skip
def test_a_time_that_the_clock_leaves_out_is_no_start(zone: str, expression: str, after: datetime, then: str) -> None:
    assert said(expression, zone, after) == then
