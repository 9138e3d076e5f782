"""The engine asks little: few waits for a database, few connections, and each row is read about once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid_sync.contracts import Profile
from tests.engine import roundtrips
from tests.engine.six_tables import Counted, counted


@pytest.fixture
def six(legacy_db: str, target_db: str) -> Iterator[Counted]:
    with counted(legacy_db, target_db) as world:
        yield world


def test_a_mixed_batch_waits_seldom_for_the_target(six: Counted) -> None:
    done = roundtrips.batches(six)
    assert done.batch <= 12
    assert done.batch_cache_miss <= done.batch + 2


def test_an_idle_weekly_run_waits_seldom_and_connects_seldom(six: Counted) -> None:
    done = roundtrips.idle(six, Profile.weekly)
    assert (done.waits <= 120, done.connections <= 12) == (True, True), done
    assert (done.read_legacy <= 1.3, done.read_target <= 1.8) == (True, True), done


def test_an_idle_daily_run_reads_each_row_about_once(six: Counted) -> None:
    done = roundtrips.idle(six, Profile.daily)
    assert (done.read_legacy <= 0.6, done.read_target <= 0.6) == (True, True), done


def test_one_row_on_demand_takes_few_waits(six: Counted) -> None:
    done = roundtrips.one_row(six)
    assert (done.target <= 17, done.legacy <= 7, done.connections) == (True, True, 0), done
