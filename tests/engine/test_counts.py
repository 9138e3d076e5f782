"""Speed that can be counted does not get lost: no run may cost more than this table says, on any machine."""

from __future__ import annotations

from pathlib import Path

from tests.engine.counts import Cost, Counts
from tests.engine.six_tables import counted

# Waits for either database, connections, kB on the wire, rows read in legacy and in the target, pages of the id map
# read and written.  Pages and legacy's rows are what it takes today; the target's rows have room for what a planner
# may look up twice, waits and kB for a statement that says more.
# Six tables of 600 rows: what costs less from now on lowers its line.
MOST = {
    "first": Cost(215, 2, 955, 14_400, 17_000, 14, 14),
    "delta": Cost(112, 2, 475, 5_567, 6_360, 8, 4),
    "idle": Cost(83, 2, 442, 3_705, 3_640, 0, 0),
    "weekly": Cost(124, 2, 555, 7_224, 10_300, 14, 0),
    "check": Cost(110, 2, 490, 3_612, 10_300, 14, 0),
}


def test_no_run_costs_more_than_its_bounds(legacy_db: str, target_db: str, tmp_path: Path) -> None:
    with counted(legacy_db, target_db) as six:
        costs = Counts(six, tmp_path).runs()
    above = {name: cost.above(MOST[name]) for name, cost in costs.items() if cost.above(MOST[name])}
    assert above == {}, costs
