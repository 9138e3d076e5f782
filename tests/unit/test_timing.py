"""Where a call's time goes is known by name, adds up, and belongs to that call alone."""

from __future__ import annotations

import threading

import pytest

from hybrid_sync import timing
from hybrid_sync.timing import Clock, Times, timed, waited


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fresh = Clock()
    monkeypatch.setattr(timing, "CLOCK", fresh)
    return fresh


def test_a_part_within_another_is_taken_out_of_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter((0.0, 1.0, 4.0, 10.0))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    with timed("read"):
        waited("legacy", 0.5)
        with timed("map"):
            waited("target", 0.25)
    assert {name: times.micros for name, times in clock.take().items()} == {
        "read": 7_000_000, "map": 3_000_000, "read legacy": 500_000, "map target": 250_000,
    }  # fmt: skip
    assert clock.take() == {}


def test_a_part_that_fails_is_measured_too_and_the_one_around_it_goes_on(clock: Clock) -> None:
    @timed("write")
    def fails() -> None:
        raise ZeroDivisionError

    with timed("read"):
        with pytest.raises(ZeroDivisionError):
            fails()
        waited("legacy", 1.0)
    assert set(clock.take()) == {"read", "write", "read legacy"}


def test_waits_add_up_and_their_shortest_and_longest_are_kept(clock: Clock) -> None:
    for seconds in (0.2, 0.1, 0.4):
        waited("target", seconds)
    assert clock.take() == {" target": Times(3, 700_000, 100_000, 400_000)}


def test_an_entity_is_that_of_the_part_around(clock: Clock) -> None:
    with timed("carry", "orders"), timed("update"):
        waited("target", 0.1)
    assert set(clock.take()) == {"carry/orders", "update/orders", "update/orders target"}


def test_another_thread_is_in_no_part(clock: Clock) -> None:
    with timed("read"):
        beside = threading.Thread(target=waited, args=("target", 0.1))
        beside.start()
        beside.join()
    assert set(clock.take()) == {"read", " target"}
