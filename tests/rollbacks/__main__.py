"""`python -m tests.rollbacks --n 1000 --seed 7`: random runs undone on real PostgreSQL, and a verdict in one line."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.rollbacks.game import Game, Tally
from tests.rollbacks.ground import ground, servers

_ROLLBACKS_PER_GROUND = 25


def play(rollbacks: int, seed: int, tally: Tally) -> None:
    """Play until so many runs were undone; each ground is seeded `seed`, `seed + 1`, …"""
    with tempfile.TemporaryDirectory(prefix="rollbacks-") as folder, servers(Path(folder)) as (legacy, target):
        number = 0
        while tally.rollbacks < rollbacks and not tally.defects:
            with ground(legacy, target, number) as one:
                game = Game(one, random.Random(seed + number), tally)  # nosec B311 - a game, not a secret
                goal = min(rollbacks, tally.rollbacks + _ROLLBACKS_PER_GROUND)
                while tally.rollbacks < goal and not tally.defects:
                    game.round()
            number += 1
            if tally.defects:
                print(f"the ground was seeded {seed + number - 1}")


def verdict(tally: Tally, seed: int) -> str:
    """The line that a person, or a script, looks for."""
    return (
        f"ROLLBACKS n={tally.rollbacks} identical={tally.identical} edits_kept={tally.edits_kept}"
        f" returned={tally.returned} seed={seed}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rollbacks", description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="runs to undo")
    parser.add_argument("--seed", type=int, default=None, help="of the first ground")
    wishes = parser.parse_args()
    seed = wishes.seed if wishes.seed is not None else time.time_ns() % 1_000_000
    tally = Tally()
    play(wishes.n, seed, tally)
    for defect in tally.defects:
        print(defect)
    print(verdict(tally, seed))
    return 0 if not tally.defects and tally.identical == tally.returned == tally.rollbacks else 1


if __name__ == "__main__":
    sys.exit(main())
