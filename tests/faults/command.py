"""Randomised faults against the engine on real PostgreSQL, and a verdict: `make faults N=200 SEED=7`."""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from tests.faults.episode import Episode
from tests.faults.score import Score
from tests.faults.servers import Servers, servers

EPISODE = 20
"""Schedules in one episode; a seed replays one episode."""
LANES = 2
"""Episodes at the same time, each over servers of its own."""
RIVAL_WRITES = 50
"""Rows that rivals write for each schedule: 10,000 in 200."""
_TERMINATES_WITHIN, _TERMINATED = 30.0, 143
_ALL_HIT_FROM = 500
"""Schedules from which on a failpoint that was never hit is a defect of the harness."""


def play(servers: Servers, folder: Path, seed: int, schedules: int, stop: threading.Event) -> Score:
    """One episode: until its schedules are played, and the runs that are rivals, its first defect, or `stop`."""
    episode = Episode(servers, folder, seed)
    try:
        for _ in range(schedules):
            if stop.is_set() or not episode.schedule():
                break
        else:
            episode.rivalry(RIVAL_WRITES * schedules)
    finally:
        episode.close()
    return episode.score


def told(score: Score) -> Iterator[str]:
    """A line for each defect, with what replays its episode."""
    for episode, schedule, defect in score.defects:
        yield f"DEFECT {defect.kind}: {defect.text} (schedule {schedule}; make faults N={EPISODE} SEED={episode})"


class _Game:
    """All episodes of one command, shared out to the lanes."""

    def __init__(self, schedules: int, seed: int) -> None:
        self._sizes = self._cut(schedules)
        self._seeds = itertools.count(seed)
        self._lock = threading.Lock()
        self.score = Score()
        self.stop = threading.Event()

    def _cut(self, schedules: int) -> Iterator[int]:
        for start in range(0, schedules, EPISODE):
            yield min(EPISODE, schedules - start)

    def lane(self, servers: Servers, folder: Path) -> None:
        """Play episodes until none is left."""
        try:
            while not self.stop.is_set():
                with self._lock:
                    schedules, seed = next(self._sizes, None), next(self._seeds)
                if schedules is None:
                    return
                score = play(servers, folder, seed, schedules, self.stop)
                with self._lock:
                    self.score.add(score)
                    print(f"{self.score.schedules} schedules, {len(self.score.defects)} defects", file=sys.stderr)
                    for line in told(score):
                        print(line, file=sys.stderr)
        except BaseException:
            self.stop.set()
            raise


def main() -> int:
    """Play, tell, and return 1 on any defect."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="schedules to play")
    parser.add_argument("--seed", type=int, default=None, help="of the first episode; replays it")
    wishes = parser.parse_args()
    seed = wishes.seed if wishes.seed is not None else time.time_ns() % 1_000_000
    signal.signal(signal.SIGTERM, _end_politely)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    began = time.monotonic()
    score, cpu = _play_all(wishes.n, seed)
    for line in score.details():
        print(line)
    seconds, each = time.monotonic() - began, max(1, score.schedules)
    print(f"{seconds:.0f} s; a schedule {seconds / each:.2f} s, and {cpu / each:.2f} s of CPU with all servers")
    print(score.rivals())
    print(score.verdict(seed))
    for line in told(score):
        print(line)
    silent = score.silent() if wishes.n >= _ALL_HIT_FROM else []
    if silent:
        print(f"NEVER HIT: {', '.join(silent)}: play more schedules, or look why no step comes there.")
    return 1 if score.defects or silent else 0


def _end_politely(*_: object) -> None:
    """Servers and workers are ended on the way out, so a polite kill goes that way; for so long as it takes others to
    lose patience, and a second one does not interrupt it."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    patience = threading.Timer(_TERMINATES_WITHIN, _end_at_once)
    patience.daemon = True
    patience.start()
    sys.exit(_TERMINATED)


def _end_at_once() -> None:
    """A step hangs, or rivals are long at it: nothing that was started outlives us."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(_TERMINATED)


def _play_all(schedules: int, seed: int) -> tuple[Score, float]:
    """Play in lanes; the score, and the CPU seconds that it took."""
    game = _Game(schedules, seed)
    with tempfile.TemporaryDirectory(prefix="faults-") as name, ExitStack() as opened:
        places: list[tuple[Servers, Path]] = []
        for n in range(min(LANES, -(-schedules // EPISODE))):
            folder = Path(name) / f"lane{n}"
            folder.mkdir()
            places.append((opened.enter_context(servers(folder)), folder))
        with ThreadPoolExecutor(LANES) as lanes:
            try:
                for lane in [lanes.submit(game.lane, *place) for place in places]:
                    lane.result()
            finally:
                game.stop.set()
        return game.score, _cpu_seconds()


def _cpu_seconds() -> float:
    """Of this process and all that it started, servers included."""
    total = 0.0
    for process in (me := psutil.Process(), *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            # Whoever lives counts its own time, and its parent that of the dead.
            total += spent.user + spent.system + spent.children_user + spent.children_system
    return total
