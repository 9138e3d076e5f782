"""Numbers and times in a report read as people write them, and never promise more than is true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from hybrid_sync.failures.reasons import REASONS
from hybrid_sync.report.words import age, compact, day, duration, listed, moment, n_of, reason_title


@pytest.mark.parametrize(("number", "said"), [(0, "no rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")])
def test_a_count_agrees_with_its_noun(number: int, said: str) -> None:
    assert n_of(number, "row") == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (0.4, "0.4"), (9, "9"), (9_999, "9,999"), (40_792, "40.8k"), (2_039_588, "2.04M"), (3e9, "3G")],
)
def test_a_label_of_a_chart_has_at_most_five_letters(number: float, said: str) -> None:
    assert compact(number) == said
    assert len(said) <= 5


def test_a_long_list_is_cut_and_its_rest_counted() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([*"abcdefg"]) == "a, b, c, d, e, f and g"
    assert listed([*"abcdefghij"]) == "a, b, c, d, e, f and 4 more"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (5.94, "5.9 s"),
        (99.96, "1 min 40 s"),
        (134, "2 min 14 s"),
        (3_600, "1 h 00 min"),
        (7_265, "2 h 01 min"),
    ],
)
def test_a_duration_has_the_unit_that_people_use(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-3), "under a minute"),
        (timedelta(seconds=59), "under a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(days=3, hours=23), "3 days"),
    ],
)
def test_an_age_is_rounded_down(span: timedelta, said: str) -> None:
    assert age(span) == said


def test_a_moment_is_told_in_utc_wherever_it_was_written() -> None:
    tokyo = datetime(2026, 11, 22, 6, 30, tzinfo=timezone(timedelta(hours=9)))
    assert moment(tokyo) == "2026-11-21 21:30 UTC"
    assert day(tokyo) == "21 November 2026"
    assert moment(None) == "–"
    assert moment(datetime(2026, 1, 4, 1, 0, tzinfo=UTC)) == "2026-01-04 01:00 UTC"


def test_every_reason_has_a_title_without_code() -> None:
    titles = [reason_title(code) for code in REASONS]
    assert len(set(titles)) == len(REASONS)
    assert not [title for title in titles if "_" in title]
    assert reason_title("price_below_zero") == "Price below zero"
