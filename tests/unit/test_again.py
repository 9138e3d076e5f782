"""Which scheduled runs start again by themselves, and when: the table of delays, the window, causes that pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.contracts import Profile, RunRequest
from hybrid_sync.failures.again import passes, retry_sentence, starts_again

DUE = datetime(2026, 11, 29, 1, tzinfo=UTC)
FIRST = Scheduled(Profile.weekly, DUE)
HOURS = 8


def after(failed: int, *, ended: timedelta = timedelta(minutes=5), hours: float = HOURS) -> timedelta | None:
    """How long after its end the attempt that follows `failed` earlier ones begins."""
    name = Scheduled(Profile.weekly, DUE, failed).job_id
    at = starts_again(name, ["target_unavailable"], DUE + ended, hours)
    return None if at is None else at - DUE - ended


def test_a_quarter_of_an_hour_then_one_then_four_then_a_person() -> None:
    assert [after(n) for n in range(4)] == [timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), None]


def test_only_within_the_window() -> None:
    assert after(0, ended=timedelta(hours=7, minutes=45)) == timedelta(minutes=15)
    assert after(0, ended=timedelta(hours=7, minutes=46)) is None
    assert after(0, hours=0) is None


@pytest.mark.parametrize(
    "codes",
    [
        ["legacy_unavailable"], ["contention", "entity_incomplete", "parent_failed"], ["too_many_connections"],
        ["States.Timeout"], ["Lambda.TooManyRequestsException"], ["deadline_exceeded"], ["legacy_replaced"],
    ],
)  # fmt: skip
def test_what_passes(codes: list[str]) -> None:
    assert passes(codes)


@pytest.mark.parametrize(
    "codes",
    [
        [], ["entity_incomplete"], ["structure_mismatch"], ["target_unavailable", "missing_privilege"], ["entity_held"],
        ["server_untrusted"], ["configuration_missing"], ["statement_timeout"], ["States.DataLimitExceeded"], ["other"],
    ],
)  # fmt: skip
def test_what_a_person_must_heal_does_not(codes: list[str]) -> None:
    assert not passes(codes)


def test_the_name_says_when_it_was_due_and_which_attempt_it_is() -> None:
    delivered = ScheduledRun(scheduled_at=DUE, request=RunRequest())
    assert delivered.job_id == FIRST.job_id == "weekly-20261129T010000-000000"
    assert FIRST.next.job_id == "weekly-20261129T010000-000001"
    assert Scheduled.named(FIRST.next.job_id) == FIRST.next
    for other in (
        "weekly-20261129T010000-4fc1d2",
        "sync-1",
        "verify-20261129T010000-000000",
        "daily-20269999T010000-000000",
    ):
        assert Scheduled.named(other) is None
        assert starts_again(other, ["target_unavailable"], DUE, HOURS) is None


def test_the_sentence_has_the_moment_the_number_and_the_way_to_stop_it() -> None:
    assert retry_sentence(FIRST.job_id, DUE + timedelta(minutes=20)) == (
        "It tries again by itself at 2026-11-29 01:20 UTC (attempt 2 of 4), unless somebody says:"
        " hybrid-sync cancel weekly-20261129T010000-000001"
    )
    assert retry_sentence(FIRST.job_id, None) == ""
