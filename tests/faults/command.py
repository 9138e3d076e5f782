"""`python -m tests.faults --n 200 --seed 7`: randomised faults against the engine on real PostgreSQL, and a verdict."""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from hybrid_sync.failpoints import POINTS
from tests.faults.episode import Episode, Score
from tests.faults.servers import Servers, servers

EPISODE = 20
"""Schedules in one episode; a seed replays one episode."""
_KINDS = ("missed", "doubled", "reversed", "wrong_ids")
_ALL_FIRE_FROM = 100
"""Schedules from which on a failpoint that never fired is a defect of the harness."""


def play(servers: Servers, folder: Path, schedules: int, seed: int, score: Score) -> None:
    """Play `schedules` in episodes that are seeded `seed`, `seed + 1`, …; an episode ends at its first defect."""
    left = schedules
    while left > 0:
        episode = Episode(servers, folder, seed, score)
        try:
            for _ in range(min(EPISODE, left)):
                left -= 1
                if not episode.schedule():
                    break
        finally:
            episode.close()
        print(f"episode {seed}: {score.schedules} schedules played, {len(score.defects)} defects", file=sys.stderr)
        seed += 1


def lines(score: Score, seed: int, seconds: float, cpu: float) -> list[str]:
    """The verdict, the failpoints, and what else happened; the verdict comes last."""
    found = {kind: sum(d.kind == kind for _, _, d in score.defects) for kind in (*_KINDS, "touched", "stuck")}
    tally = score.tally
    told = [f"  {name:<24}{tally.passed[name]:>8} passed{tally.fired[name]:>6} fired" for name in POINTS]
    errors = ", ".join(f"{name} {n}" for name, n in sorted(tally.errors.items()))
    clean = ", ".join(f"{n} after {runs}" for runs, n in sorted(score.clean_runs.items()))
    runs = ", ".join(f"{n} {status}" for status, n in sorted(score.runs.items()))
    told.append(f"runs: {runs}; backends terminated: {score.cut}; legacy commits beside them: {score.committed}")
    told.append(f"deliveries: {sum(tally.orders.values())}, doubled {score.doubled}, long after {score.zombies}")
    told.append(f"failed deliveries: {errors or 'none'}")
    told.append(f"right after clean runs: {clean}; native rows touched: {found['touched']}; stuck: {found['stuck']}")
    each = max(1, score.schedules)
    told.append(f"{seconds:.0f} s; a schedule {seconds / each:.2f} s, and {cpu / each:.2f} s of CPU with both servers")
    counts = " ".join(f"{kind}={found[kind]}" for kind in _KINDS)
    told.append(f"FAULTS schedules={score.schedules} crashes={tally.crashes} {counts} seed={seed}")
    return told


def _cpu_seconds() -> float:
    """Of this process and all that it started, servers included."""
    total = 0.0
    for process in (me := psutil.Process(), *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            # Whoever lives counts its own time, and its parent that of the dead.
            total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="schedules to play")
    parser.add_argument("--seed", type=int, default=None, help="of the first episode; replays it")
    wishes = parser.parse_args()
    seed = wishes.seed if wishes.seed is not None else time.time_ns() % 1_000_000
    score = Score()
    # Servers and workers are ended on the way out, so a polite kill must go that way too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hybrid-sync-faults-") as name, servers(Path(name)) as both:
        play(both, Path(name), wishes.n, seed, score)
        cpu = _cpu_seconds()
    print("\n".join(lines(score, seed, time.monotonic() - began, cpu)))
    for episode, schedule, defect in score.defects:
        print(
            f"DEFECT {defect.kind}: {defect.text} (schedule {schedule}; replay: make faults N={EPISODE} SEED={episode})"
        )
    silent = [name for name in POINTS if not score.tally.fired[name]] if wishes.n >= _ALL_FIRE_FROM else []
    if silent:
        print(f"NEVER FIRED: {', '.join(silent)}: play more schedules, or look why no step comes there.")
    return 1 if score.defects or silent else 0


if __name__ == "__main__":
    sys.exit(main())
