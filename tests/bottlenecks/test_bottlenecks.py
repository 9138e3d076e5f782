"""A planted bottleneck is named, alone and with its remedy; a healthy world has none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid_sync.tuning.model import Performance
from tests.bottlenecks.plants import PLANTS, Ground, healthy, wrong


@pytest.fixture
def ground(legacy_db: str, target_db: str) -> Iterator[Ground]:
    made = Ground(legacy_db, target_db, seed=1)
    yield made
    made.close()


def test_each_planted_bottleneck_is_named_alone_and_a_healthy_week_has_none(ground: Ground) -> None:
    found = healthy(ground)
    assert wrong("", found) == []
    _adds_up(found)
    assert [said for code, (plant, *_) in PLANTS.items() for said in wrong(code, plant(ground))] == []
    assert wrong("", healthy(ground)) == []


def _adds_up(found: Performance) -> None:
    steps = {line.step for line in found.steps}
    assert {"lock", "read", "map", "stage", "update", "record", "delete", "detect", "verify entity"} <= steps
    assert found.seconds == pytest.approx(sum(line.seconds for line in found.steps), abs=0.1)
    assert all(line.target_seconds <= line.seconds + 0.01 for line in found.steps if line.step == "lock")
    assert {one.side for one in found.slowest} == {"legacy", "target"}
