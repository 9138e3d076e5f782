"""A short game: every rollback leaves what nobody edited as it was, keeps what was edited, and nothing stays lost."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.rollbacks.game import Game, Tally
from tests.rollbacks.ground import Ground

ROLLBACKS = 15


@pytest.fixture
def ground(legacy_db: str, target_db: str) -> Iterator[Ground]:
    made = Ground(legacy_db, target_db)
    yield made
    made.close()


def test_random_runs_are_undone_in_and_out_of_order(ground: Ground) -> None:
    tally = Tally()
    game = Game(ground, random.Random(20_261_123), tally)
    while tally.rollbacks < ROLLBACKS and not tally.defects:
        game.round()
    assert tally.defects == []
    assert tally.identical == tally.returned == tally.rollbacks
    assert tally.edits_kept > 0
