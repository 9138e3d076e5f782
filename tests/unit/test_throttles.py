"""Which runs are throttled: known from the first word on, and forgotten when nobody says so any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hybrid_sync.breaker.throttles import LASTS, in_words, noted
from hybrid_sync.retries import THROTTLED

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
FULL = "The target database, or its pooler, has no connection left."


def test_it_is_said_since_the_first_time_and_why_by_the_last() -> None:
    known = noted({}, "weekly-1", "AWS slows down dynamodb:BatchGetItem.", NOON)
    known = noted(known, "daily-1", FULL, NOON + timedelta(minutes=1))
    known = noted(known, "weekly-1", FULL, NOON + timedelta(minutes=2))
    assert in_words(known, NOON + timedelta(minutes=2)) == {
        "weekly-1": "The target database, or its pooler, has no connection left, since 12:00 UTC",
        "daily-1": "The target database, or its pooler, has no connection left, since 12:01 UTC",
    }


def test_it_is_over_when_nobody_has_said_so_for_longer_than_one_waits_to_come_again() -> None:
    assert timedelta(seconds=THROTTLED.longest_delay) < LASTS
    known = noted({}, "weekly-1", FULL, NOON)
    assert in_words(known, NOON + LASTS) == {}
    again = noted(known, "daily-1", FULL, NOON + LASTS)
    assert list(again) == ["daily-1"]
    assert noted(known, "weekly-1", FULL, NOON + LASTS)["weekly-1"].since == NOON + LASTS
