"""When a clock starts a run next, across changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hybrid_sync.services.views.schedule import Schedule, next_time


@pytest.mark.parametrize(
    ("expression", "zone", "after", "due"),
    [
        ("cron(0 1 ? * SUN *)", "UTC", "2026-11-28T07:00", "2026-11-29T01:00"),
        ("cron(0 1 ? * 1 *)", "UTC", "2026-11-29T01:00", "2026-12-06T01:00"),
        ("cron(0 1 ? * sun *)", "Europe/London", "2027-03-26T00:00", "2027-04-04T00:00"),  # 28 March has no 01:00
        ("cron(15 2 ? * SUN *)", "Australia/Lord_Howe", "2027-10-01T00:00", "2027-10-09T15:15"),  # nor 3 October 02:15
        ("cron(30 1 ? * SUN *)", "Europe/London", "2026-10-24T00:00", "2026-10-25T00:30"),  # one of two
        ("cron(30 1 ? * SUN *)", "Europe/London", "2026-10-25T00:30", "2026-11-01T01:30"),
    ],
)
def test_a_time_that_there_is_not_is_no_start(expression: str, zone: str, after: str, due: str) -> None:
    found = next_time(Schedule("weekly", expression, zone), datetime.fromisoformat(f"{after}+00:00"))
    assert found == datetime.fromisoformat(f"{due}+00:00")


@pytest.mark.parametrize("expression", ["rate(7 days)", "cron(0 1 L * ? *)", "cron(0 1 ? * 1#1 *)", "every Sunday", ""])
def test_what_is_not_read_here_has_no_next_time(expression: str) -> None:
    assert next_time(Schedule("weekly", expression, "UTC"), datetime(2026, 11, 28, tzinfo=UTC)) is None
