"""The engine against its peers over the same twelve tables (`peers`), and what else is measured: the hot path against
raw COPY | COPY, a load with bad rows against one without, three times as many failing rows, workers' memory with so
many rows and with ten times as many, and with rows of every size, waits for the databases, what a cold start costs,
what the operator's command costs, and how long a critical event takes until it is in the target.

All other times but a cold start's are ratios measured in one run.  Rounds alternate, so that a busy machine slows both
alike; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from statistics import median

from bench import cli, failing, imports, memory, poison, roundtrips, tables
from bench.contestants import HotPath, Measured, measured, raw_copy
from bench.ondemand import contest as ondemand
from bench.ondemand.events import Caller
from bench.ondemand.webhooks import Sender
from bench.peers import command as peers
from bench.servers import server
from hybrid_sync.postgres import Connection, connect
from hybrid_sync_cli.errors import CliError


def main() -> int:
    """Print a table and a line of results each; 0 unless something does not work at all, or memory grows."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "which", nargs="?", default="peers",
        choices=(
            "peers", "report", "all", "copy", "poison", "failing", "memory", "roundtrips", "imports", "cli", "ondemand",
        ),
        help="peers (default); report quotes results.json; one of the others, or all of those but cli and ondemand",
    )  # fmt: skip
    parser.add_argument(
        "--rows", type=int, default=None,
        help="legacy rows (default: 200000, poison: 100000, memory: 30000, ondemand: 1000000 of a weekly run)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="rounds, alternating (default: 3)")
    parser.add_argument("--requests", type=int, default=200, help="of ondemand, idle and loaded each (default: 200)")
    parser.add_argument("--cold", action="store_true", help="of ondemand: requests that find no worker")
    parser.add_argument("--webhooks", action="store_true", help="of ondemand: signed events instead of requests")
    peers.options(parser)
    options = parser.parse_args()
    if options.which == "peers":
        return peers.command(options)
    if options.which == "report":
        return peers.report()
    if options.which == "cli":
        return cli.contest()
    if options.which == "ondemand":
        ask = Sender if options.webhooks else Caller
        if options.cold:
            return _cold(ask, options)
        return ondemand.contest(options.requests, options.rows or 1_000_000, ask)
    cold = imports.contest() if options.which in ("all", "imports") else 0
    if options.which == "imports":
        return cold
    with server() as new_database:
        if options.which in ("all", "copy"):
            rows = options.rows or 200_000
            with (
                connect(new_database("legacy", "UTF8"), "legacy") as legacy,
                connect(new_database("target", "UTF8"), "target") as target,
            ):
                tables.create(legacy, target, rows)
                show([contest(legacy, target, rows) for _ in range(options.rounds)], rows)
        if options.which in ("all", "poison"):
            poison.contest(new_database, options.rows or 100_000, options.rounds)
        if options.which in ("all", "failing"):
            cold = max(cold, failing.contest(new_database, options.rounds))
        if options.which in ("all", "roundtrips"):
            roundtrips.count(new_database)
        if options.which in ("all", "memory"):
            return max(cold, memory.sizes(new_database), memory.contest(new_database, options.rows or 30_000))
    return cold


def _cold(ask: type[Caller], options: argparse.Namespace) -> int:
    """Of requests, which is what its goal is about, written down beside what the peers have told."""
    began = time.monotonic()
    found = {"cold_event_seconds": ondemand.cold(ask)}
    peers.written_down(found, began, whole=not options.webhooks, noisy=options.noisy)
    return 0


def contest(legacy: Connection, target: Connection, rows: int) -> dict[str, Measured]:
    """One round of each contestant over empty tables."""
    target.execute("truncate twin, orders, hybrid_sync.journal")
    target.execute("checkpoint")
    path = HotPath(legacy, target)
    round_ = {"raw COPY | COPY": measured(lambda: raw_copy(legacy, target))}
    target.execute("checkpoint")
    round_["first load"] = measured(path.load)
    target.execute("vacuum analyze orders")
    round_["nothing changed"] = measured(path.repeat)
    found = target.execute(
        "select (select count(*) from twin), (select count(*) from orders), "
        "(select coalesce(sum(price), 0) from twin) = (select coalesce(sum(price), 0) from orders)"
    ).fetchone()
    if found != (rows, rows, True):
        raise CliError("A contestant did not carry every row over, so its time means nothing.")
    return round_


def show(rounds: list[dict[str, Measured]], rows: int) -> None:
    """Medians per contestant, and each as a multiple of the raw copy."""
    wall = {name: median(r[name].wall for r in rounds) for name in rounds[0]}
    cpu = {name: median(r[name].cpu for r in rounds) for name in rounds[0]}
    base = wall["raw COPY | COPY"]
    print(f"{rows:,} rows, median of {len(rounds)} rounds")
    print(f"{'':18}{'seconds':>9}{'µs/row':>9}{'CPU µs/row':>12}{'× raw':>8}")
    for name, seconds in wall.items():
        per_row, own = seconds / rows * 1e6, cpu[name] / rows * 1e6
        print(f"{name:18}{seconds:9.2f}{per_row:9.2f}{own:12.2f}{seconds / base:8.2f}")
    ratios = {name: round(seconds / base, 3) for name, seconds in wall.items()}
    print("RESULT", json.dumps({"rows": rows, "rounds": len(rounds), "ratio_to_raw": ratios}, sort_keys=True))


if __name__ == "__main__":
    # Whoever ends us by a signal wants our servers ended, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main())
    except CliError as error:
        sys.exit(str(error))
