"""Batches beside each other on a real control table: the surplus comes again, critical ones go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from hybrid_sync.aws import client, session
from hybrid_sync.breaker.lag import EVERY, ReplicaLag
from hybrid_sync.breaker.sparing import KEPT, Sparing
from hybrid_sync.entrypoint import name_of
from hybrid_sync.errors import AwayError, Contention, LoadShed, StructureMismatch, TargetUnavailable
from hybrid_sync.postgres import Connection, connect
from tests.gate.table import control_table

WORKERS = 4


class Clock:
    """A time that a test sets."""

    now = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(aws: None, clock: Clock) -> Iterator[Callable[..., Sparing]]:
    """Makes one more worker of the same deployment."""
    session.cache_clear()
    with control_table(boto3.client("dynamodb"), "sparing") as table:
        yield lambda lag=lambda: "": Sparing(table, client("dynamodb"), clock, WORKERS, lag)
    session.cache_clear()


def meet_a_lock(one: Sparing) -> None:
    with pytest.raises(Contention), one.sparing("first"):
        raise Contention("target answered 55P03 (busy).")


def test_after_a_lock_half_as_many_are_at_work_the_others_come_again_and_critical_ones_go_on(
    worker: Callable[..., Sparing],
) -> None:
    meet_a_lock(worker())
    workers = [worker() for _ in range(WORKERS)]
    permitted, all_have_come = threading.Semaphore(0), threading.Event()

    def batch(n: int) -> str:
        try:
            with workers[n].sparing(f"batch {n}"):
                permitted.release()
                all_have_come.wait(30)
                return "done"
        except LoadShed as error:
            assert name_of(error) is AwayError
            return str(error)

    with ThreadPoolExecutor(WORKERS) as pool:
        coming = [pool.submit(batch, n) for n in range(WORKERS)]
        for _ in range(WORKERS // 2):
            permitted.acquire()
        with worker().sparing("urgent", critical=True):
            pass
        while sum(one.done() for one in coming) < WORKERS // 2:
            threading.Event().wait(0.01)
        all_have_come.set()
        said = [one.result() for one in coming]
    assert said.count("done") == WORKERS // 2
    assert {one for one in said if one != "done"} == {
        "At most 2 batches are at work at once since 01:00 UTC: target answered 55P03 (busy)."
        " It goes on as soon as it may."
    }
    with worker().sparing("batch 4"):
        pass


def test_what_is_no_trouble_of_a_database_sheds_nothing_and_gives_its_permit_back(
    worker: Callable[..., Sparing], clock: Clock
) -> None:
    one = worker()
    with pytest.raises(StructureMismatch), one.sparing("first"):
        raise StructureMismatch("There is no such column.")
    assert one.said() == ""
    meet_a_lock(one)
    for n in range(3):
        with pytest.raises(StructureMismatch), one.sparing(f"batch {n}"):
            raise StructureMismatch("There is no such column.")
    clock.now += KEPT
    with worker().sparing("batch 3"):
        assert worker().said().startswith("At most 2 batches")


def test_a_replica_that_falls_behind_is_spared(worker: Callable[..., Sparing]) -> None:
    with worker(lambda: "The target's replica a is 40 s behind.").sparing("first"):
        pass
    assert worker().said().endswith("The target's replica a is 40 s behind.")


class Away:
    """A target that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    def connect(self) -> Any:
        self.asked += 1
        raise TargetUnavailable("It is away.")


def test_a_target_is_asked_for_its_replicas_now_and_then(target_db: str, clock: Clock) -> None:
    opened: list[Connection] = []

    def connected() -> Connection:
        opened.append(connect(target_db, "target"))
        return opened[-1]

    lag = ReplicaLag(connected, clock)
    assert [lag(), lag()] == ["", ""]  # it has none
    assert len(opened) == 1
    clock.now += EVERY
    lag()
    assert len(opened) == 2
    away = Away()
    assert ReplicaLag(away.connect, clock)() == ""
    assert away.asked == 1
