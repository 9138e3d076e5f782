"""The breaker of one database: when it opens, who may try again, what closes it, and what people hear of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hybrid_sync.breaker.state import (
    MOST_FAILURES,
    NOTIFYING,
    PAUSES,
    PAUSES_FOR_A_PERSON,
    PROBE,
    REMINDED,
    WINDOW,
    Breaker,
    Refusal,
    due,
    failed,
    has_news,
    notified,
    notifying,
    passed,
    probing,
    refusal,
    waiting_for,
)
from hybrid_sync.entrypoint import name_of
from hybrid_sync.errors import AwayError, TargetUnavailable

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
GONE = Refusal("target_unavailable", "The target database does not let us in at db:5432/app.", needs_person=False)
BARRED = Refusal("target_unavailable", "Check the user and the password in its DSN.", needs_person=True)


def after(breaker: Breaker, *moments: timedelta, why: Refusal = GONE) -> Breaker:
    for moment in moments:
        breaker = failed(breaker, why, NOON + moment)
    return breaker


OPEN = after(Breaker(), *(n * SECOND for n in range(MOST_FAILURES)))
OPENED = NOON + (MOST_FAILURES - 1) * SECOND


def test_it_opens_after_some_failures_in_a_row_and_knows_since_when() -> None:
    assert after(Breaker(), *(n * SECOND for n in range(MOST_FAILURES - 1))).away_since is None
    assert (OPEN.away_since, OPEN.opened_at, OPEN.next_probe) == (NOON, OPENED, OPENED + PAUSES[0])


def test_failures_that_are_far_apart_or_have_a_success_between_them_open_nothing() -> None:
    assert after(Breaker(), *(n * (WINDOW + SECOND) for n in range(9))).away_since is None
    breaker = Breaker()
    for n in range(9):
        breaker = failed(breaker, GONE, NOON + n * SECOND)
        breaker = passed(breaker, NOON + n * SECOND, NOON + n * SECOND)
    assert breaker.away_since is None
    one = failed(Breaker(), GONE, NOON)
    assert passed(one, NOON - SECOND, NOON + SECOND) == one  # what began before it failed says nothing of it


def test_what_only_a_person_can_change_opens_it_at_once_and_is_tried_less_often() -> None:
    breaker = failed(Breaker(), BARRED, NOON)
    assert (breaker.away_since, breaker.next_probe) == (NOON, NOON + PAUSES_FOR_A_PERSON[0])
    assert "Waiting does not cure that: a person has to." in waiting_for({"legacy": breaker})
    assert "Waiting" not in waiting_for({"legacy": OPEN})


def test_nobody_tries_before_the_time_and_then_one_at_a_time() -> None:
    assert OPEN.next_probe is not None
    assert probing(OPEN, "a", OPEN.next_probe - SECOND) == OPEN
    mine = probing(OPEN, "a", OPEN.next_probe)
    assert mine.prober == "a"
    assert probing(mine, "b", OPEN.next_probe + SECOND) == mine
    # Whoever has taken it and died is followed by another one, and is late for ever.
    theirs = probing(mine, "b", OPEN.next_probe + PROBE)
    assert theirs.prober == "b"
    assert failed(theirs, GONE, NOON + timedelta(hours=1), "a") == theirs
    assert probing(OPEN, "c", NOON, forced=True).prober == "c"
    assert probing(due(OPEN, NOON + 5 * SECOND), "d", NOON + 5 * SECOND).prober == "d"
    assert probing(Breaker(), "e", NOON, forced=True) == due(Breaker(), NOON) == Breaker()


@pytest.mark.parametrize(("why", "pauses"), [(GONE, PAUSES), (BARRED, PAUSES_FOR_A_PERSON)])
def test_each_probe_that_fails_makes_the_pause_longer_up_to_a_bound(
    why: Refusal, pauses: tuple[timedelta, ...]
) -> None:
    breaker = after(Breaker(), *(n * SECOND for n in range(MOST_FAILURES)), why=why)
    now, seen = NOON, []
    for _ in range(5):
        assert breaker.next_probe is not None
        now = breaker.next_probe
        breaker = failed(probing(breaker, "me", now), why, now, "me")
        assert breaker.next_probe is not None
        seen.append(breaker.next_probe - now)
    assert seen == [*pauses[1:], *[pauses[-1]] * 3]
    assert breaker.away_since == NOON


def test_a_failure_that_is_no_probe_tells_nothing_new_and_a_success_from_before_proves_nothing() -> None:
    assert failed(OPEN, BARRED, OPENED + SECOND) == OPEN
    assert passed(OPEN, OPENED - SECOND, OPENED + SECOND) == OPEN
    assert passed(OPEN, OPENED + SECOND, OPENED + 2 * SECOND) == Breaker()


def test_whoever_would_connect_is_told_at_once_since_when_why_and_when_to_come_again() -> None:
    error = refusal("target", OPEN, OPENED + SECOND)
    assert isinstance(error, TargetUnavailable)
    assert (name_of(error), error.retry_after) == (AwayError, PAUSES[0].seconds)
    assert str(error) == (
        f"The target database has been away since 2026-11-29 12:00 UTC. {GONE.said} It is tried again at 12:00:17 UTC."
    )
    assert refusal("target", OPEN, OPENED + timedelta(days=1)).retry_after >= 1
    assert waiting_for({"legacy": Breaker(), "target": OPEN}).endswith("Next probe at 12:00:17 UTC.")
    assert waiting_for({"legacy": Breaker(), "target": Breaker()}) == ""


def heard(breaker: Breaker, now: datetime) -> Breaker:
    assert has_news(breaker, now)
    return notified(notifying(breaker, now), breaker, now)


def test_people_hear_once_that_it_is_away_again_after_a_day_and_in_the_end_that_it_is_back() -> None:
    known = heard(OPEN, OPENED)
    assert not has_news(known, OPENED + REMINDED - SECOND)
    again = heard(known, OPENED + REMINDED)
    back = passed(again, OPENED + 2 * REMINDED, OPENED + 2 * REMINDED)
    assert back.was_away == (NOON, OPENED + 2 * REMINDED)
    assert heard(back, OPENED + 2 * REMINDED) == Breaker()
    assert not has_news(Breaker(), NOON)


def test_what_was_over_before_anybody_heard_of_it_is_told_to_nobody() -> None:
    assert not has_news(passed(OPEN, OPENED, OPENED + SECOND), OPENED + SECOND)


def test_one_tells_at_a_time_and_another_one_once_that_has_died() -> None:
    mine = notifying(OPEN, OPENED)
    assert not has_news(mine, OPENED + NOTIFYING - SECOND)
    assert notifying(mine, OPENED + SECOND) == mine
    assert has_news(mine, OPENED + NOTIFYING)


def test_what_closes_or_opens_anew_while_people_are_told_is_told_as_well() -> None:
    mine = notifying(OPEN, OPENED)
    closed = notified(passed(mine, OPENED + SECOND, OPENED + SECOND), mine, OPENED + 2 * SECOND)
    assert has_news(closed, OPENED + 2 * SECOND) and closed.was_away == (NOON, OPENED + 2 * SECOND)
    anew = replace(mine, away_since=OPENED + SECOND)
    assert has_news(notified(anew, mine, OPENED + 2 * SECOND), OPENED + 2 * SECOND)
