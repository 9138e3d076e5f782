"""What bad rows cost: a load with 1 % poison of every kind against the same load without, as a ratio of one process.

Exactly the poison rows must fail, each with the reason that its kind has; else the time means nothing.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.poison_world import CATALOG, KINDS, Kind, create
from hybrid_sync.postgres import connect
from hybrid_sync.schema.install import install
from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.flow.execution import Delivery
from tests.engine.worlds import EngineWorld, execution, functions_of
from tests.flow.conduct import conduct

EVERY = 100
"""One row in so many is poison."""

NewDatabase = Callable[[str, str], str]
"""(name, encoding) -> DSN of a new empty database, as its superuser."""


@dataclass(frozen=True)
class Load:
    """A first load of every row; the seconds of its batches."""

    seconds: float
    rows: int
    failed: dict[int, str]


def contest(new_database: NewDatabase, rows: int, rounds: int) -> None:
    """Alternate clean and poisoned loads; print a table and a `POISON {…}` line."""
    clean, poisoned = [], []
    for n in range(rounds):
        clean.append(load(new_database, f"clean{n}", rows, every=0))
        poisoned.append(load(new_database, f"poison{n}", rows, every=EVERY))
        require_exact(clean[-1], rows, every=0)
        require_exact(poisoned[-1], rows, every=EVERY)
    base, cost = median(c.seconds for c in clean), median(p.seconds for p in poisoned)
    bad = len(poisoned[0].failed)
    print(f"{rows:,} rows, {bad:,} of them poison of {len(KINDS)} kinds, median of {rounds} rounds")
    print(f"{'clean load':18}{base:9.2f} s{base / rows * 1e6:9.2f} µs/row")
    print(f"{'poisoned load':18}{cost:9.2f} s{cost / rows * 1e6:9.2f} µs/row{cost / base:8.2f} × clean")
    result = {"rows": rows, "poison": bad, "kinds": len(KINDS), "rounds": rounds, "ratio": round(cost / base, 3)}
    print("POISON", json.dumps(result, sort_keys=True))


def load(new_database: NewDatabase, name: str, rows: int, *, every: int, kinds: Sequence[Kind] = KINDS) -> Load:
    """Make both databases of one world and sync it once."""
    # SQL_ASCII lets legacy hold text that is no UTF-8, as an old server does.
    legacy, target = new_database(f"{name}_legacy", "SQL_ASCII"), new_database(f"{name}_target", "UTF8")
    create(legacy, target, rows, every, kinds)
    world = EngineWorld(CATALOG, legacy, install(target, "only-for-benchmarks", CATALOG))
    functions = functions_of(world)
    seconds = 0.0

    def deliver(delivery: Delivery) -> Any:
        nonlocal seconds
        began = time.perf_counter()
        answer = functions(delivery)
        seconds += time.perf_counter() - began if delivery.function == "sync_batch" else 0.0
        return answer

    conduct(
        execution(world, "load", profile="daily"), deliver,
        until=lambda delivery: delivery.function == "propagate_deletes",
    )  # fmt: skip
    with connect(target, "target") as connection:
        failed = connection.execute(
            "select key[1], reason from hybrid_sync.failed_record where entity = 'wares' and status = 'open'"
        ).fetchall()
        arrived = connection.execute("select count(*) from wares where legacy_id is not null").fetchone()
    return Load(seconds, int(arrived[0]) if arrived else 0, {int(key): str(reason) for key, reason in failed})


def require_exact(done: Load, rows: int, *, every: int, kinds: Sequence[Kind] = KINDS) -> None:
    """Every good row arrived, every poison row failed with the reason of its kind, and nothing else did."""
    expected = {i: kinds[i // every % len(kinds)].reason for i in range(every, rows + 1, every)} if every else {}
    if done.failed != expected or done.rows != rows - len(expected):
        wrong = Counter((expected.get(i), done.failed.get(i)) for i in expected.keys() | done.failed.keys())
        differing = {pair: n for pair, n in wrong.items() if pair[0] != pair[1]}
        raise CliError(
            f"{done.rows} of {rows} rows arrived, and reasons (expected, found) differ: {differing or 'nowhere'}.",
            "The isolation of bad rows is broken: run tests/engine/test_isolation.py.",
        )
