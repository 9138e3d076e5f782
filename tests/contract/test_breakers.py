"""The breakers in the control table: rivals for one probe are one and others, and what they find is written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from hybrid_sync.aws import client, session
from hybrid_sync.breaker.breakers import KEPT, Breakers
from hybrid_sync.breaker.state import MOST_FAILURES, PAUSES, Breaker
from hybrid_sync.breaker.store import BreakerStore
from hybrid_sync.errors import (
    AwsUnavailable,
    LegacyUnavailable,
    ServerUntrusted,
    SyncError,
    TargetUnavailable,
    TooManyConnections,
)
from tests.gate.table import control_table

RIVALS = 6


class Clock:
    """A time that a test sets."""

    now = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(aws: None, clock: Clock) -> Iterator[Callable[..., Breakers]]:
    """Makes one more worker of the same deployment."""
    session.cache_clear()
    with control_table(boto3.client("dynamodb"), "breakers") as table:
        yield lambda **more: Breakers(BreakerStore(table, client("dynamodb")), clock, **more)
    session.cache_clear()


def connect(breakers: Breakers, error: SyncError | None = None, side: Any = "target") -> None:
    """One attempt, and how it ends."""
    with breakers.guarding(side):
        if error is not None:
            raise error


def gone() -> TargetUnavailable:
    return TargetUnavailable("The target database does not let us in.", "Check that the server runs.")


def opened(breakers: Breakers) -> None:
    for _ in range(MOST_FAILURES):
        with pytest.raises(TargetUnavailable, match="does not let us in") as caught:
            connect(breakers, gone())
        assert caught.value.away


def test_after_some_failures_nobody_is_kept_waiting_until_a_probe_has_passed(
    worker: Callable[..., Breakers], clock: Clock
) -> None:
    one, other = worker(), worker()
    opened(one)
    with pytest.raises(TargetUnavailable, match="has been away since 2026-11-29 01:00 UTC") as caught:
        connect(other)
    assert caught.value.away and caught.value.retry_after > 0
    connect(other, side="legacy")
    assert other.waiting_for().startswith("The target database has been away")
    assert other.due() == []
    clock.pass_by(PAUSES[0] + KEPT)
    assert other.due() == ["target"]
    connect(other)
    assert one.waiting_for() == worker().waiting_for() == ""
    connect(one)


def test_of_rivals_for_a_probe_one_tries_and_the_others_are_told(worker: Callable[..., Breakers], clock: Clock) -> None:
    opened(worker())
    clock.pass_by(PAUSES[0] + KEPT)
    rivals = [worker() for _ in range(RIVALS)]
    tried: list[int] = []

    def attempt(n: int) -> bool:
        try:
            with rivals[n].guarding("target"):
                tried.append(n)
                raise gone()
        except TargetUnavailable as error:
            return "has been away" in str(error)

    with ThreadPoolExecutor(RIVALS) as pool:
        refused = list(pool.map(attempt, range(RIVALS)))
    assert (len(tried), sum(refused)) == (1, RIVALS - 1)
    both = BreakerStore("breakers", client("dynamodb")).read()
    assert (both["target"].probes, both["legacy"]) == (1, Breaker())
    assert both["target"].next_probe == clock.now + PAUSES[1]


def test_of_rivals_who_have_news_one_tells_people(worker: Callable[..., Breakers], clock: Clock) -> None:
    opened(worker())
    rivals = [worker() for _ in range(RIVALS)]
    with ThreadPoolExecutor(RIVALS) as pool:
        news = list(pool.map(lambda one: one.begin_notifying("target"), rivals))
    [(told, mine)] = [(one, rival) for one, rival in zip(news, rivals, strict=True) if one is not None]
    mine.have_notified("target", told)
    assert worker().begin_notifying("target") is None


def test_a_wrong_certificate_opens_it_at_once_and_whoever_looks_for_himself_tries(
    worker: Callable[..., Breakers],
) -> None:
    one = worker()
    with pytest.raises(ServerUntrusted) as caught:
        connect(one, ServerUntrusted("legacy shows another certificate."), "legacy")
    assert (caught.value.away, caught.value.transient) == (True, True)
    with pytest.raises(LegacyUnavailable, match="another certificate"):
        connect(worker(), side="legacy")
    connect(worker(looks=True), side="legacy")
    connect(worker(), side="legacy")


def test_a_person_who_has_changed_the_secret_is_waited_for_no_longer(worker: Callable[..., Breakers]) -> None:
    one = worker()
    opened(one)
    one.try_again()
    connect(worker())


def test_what_is_used_up_is_waited_for_as_that_until_it_lets_nobody_in(worker: Callable[..., Breakers]) -> None:
    one = worker()
    for _ in range(MOST_FAILURES):
        with pytest.raises(TooManyConnections) as caught:
            connect(one, TooManyConnections("No connection left."))
        assert not caught.value.away
    with pytest.raises(TargetUnavailable, match="No connection left"):
        connect(worker())


def test_a_table_that_does_not_answer_keeps_nobody_from_anything(clock: Clock) -> None:
    class Away:
        def get_item(self, **_: Any) -> None:
            raise AwsUnavailable("DynamoDB does not answer.")

    breakers = Breakers(BreakerStore("none", Away()), clock)
    for _ in range(MOST_FAILURES + 1):
        with pytest.raises(TargetUnavailable, match="does not let us in"):
            connect(breakers, gone())
    connect(breakers)
    assert (breakers.due(), breakers.begin_notifying("target")) == ([], None)


def test_what_another_version_has_written_opens_no_breaker_and_fails_nobody(worker: Callable[..., Breakers]) -> None:
    opened(worker())
    value = '{"legacy": {"away_since": "then"}, "target": {}, "third": {}}'
    boto3.client("dynamodb").update_item(
        TableName="breakers", Key={"pk": {"S": "breakers"}}, UpdateExpression="set #v = :v",
        ExpressionAttributeNames={"#v": "value"}, ExpressionAttributeValues={":v": {"S": value}},
    )  # fmt: skip
    connect(worker())
    opened(worker())
    with pytest.raises(TargetUnavailable, match="away since"):
        connect(worker())
