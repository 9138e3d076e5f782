"""What many failing rows cost: 60,000 against 20,000, in loads of which every second row fails.

Whatever grows faster than the rows (a search in what has failed so far, a list that is copied) shows here.  The table
has no exclusion constraint, in whose index PostgreSQL's own work grows faster than the rows.
"""

from __future__ import annotations

import json
from statistics import median

from bench.poison import NewDatabase, load, require_exact
from bench.poison_world import WITHOUT_RANGES

FEW, MANY = 20_000, 60_000
MOST = 3.3
"""Times the few, for three times as many."""
EVERY = 2


def contest(new_database: NewDatabase, rounds: int) -> int:
    """Alternate both; print a table and a `FAILING {…}` line.  1 where the many cost more than they may."""
    seconds: dict[int, list[float]] = {FEW: [], MANY: []}
    for n in range(rounds):
        for failing, taken in seconds.items():
            rows = failing * EVERY
            done = load(new_database, f"failing{failing}_{n}", rows, every=EVERY, kinds=WITHOUT_RANGES)
            require_exact(done, rows, every=EVERY, kinds=WITHOUT_RANGES)
            taken.append(done.seconds)
    few, many = (median(taken) for taken in seconds.values())
    for failing, taken in ((FEW, few), (MANY, many)):
        print(f"{failing:,} failing rows{taken:9.2f} s{taken / failing * 1e6:9.2f} µs each")
    ratio = round(many / few, 3)
    print("FAILING", json.dumps({"few": FEW, "many": MANY, "most": MOST, "ratio": ratio, "rounds": rounds}))
    return 0 if ratio <= MOST else 1
