"""Rivals: weekly runs and runs of a few keys want the same rows at once, while these change; crashes and all.

Each driver plays a whole run with its own faults, so the runs meet anywhere: a few keys between the read and the write
of a batch, a batch beside a reconcile's heal batch, a delivery that is given up on beside its retry.  The target's own
triggers tell when a row goes back to an older version.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from hybrid_sync.contracts import Profile, Ref, RunPriority, RunRequest
from tests.faults.beside import again_and_again

HOT = 60
"""Rows that all of them want."""
ON_DEMAND = 4
"""Runs of a few keys beside a weekly one."""
_FIRST = 900_000
_LONGEST_LIST = 30
_ROUNDS = 400
_WRITTEN = """
select coalesce(sum(cardinality(keys)), 0) from hybrid_sync.journal where entity = 'people' and run_id like %s
"""


@dataclass
class Rivals:
    """`run` plays one request to its end, faults included."""

    legacy: str
    target: str
    luck: random.Random
    run: Callable[[RunRequest], None]
    name: str
    runs: int = 0

    def play(self, writes: int) -> int:
        """Round after round until the runs have written so many rows; how many they have."""
        with psycopg.connect(self.legacy, autocommit=True) as legacy:
            legacy.execute(
                "insert into person (id, email, name) select %s + i, 'rival' || i || '@example.org', 'rival'"
                " from generate_series(0, %s - 1) i on conflict (id) do nothing",
                (_FIRST, HOT),
            )
        done = 0
        for _ in range(_ROUNDS):
            if done >= writes:
                break
            self._round()
            done = self._written()
        return done

    def _round(self) -> None:
        requests = [self._weekly(), *(self._few_keys() for _ in range(ON_DEMAND))]
        with self._changing(), ThreadPoolExecutor(len(requests)) as beside:
            for work in [beside.submit(self.run, request) for request in requests]:
                work.result()

    def _weekly(self) -> RunRequest:
        return RunRequest(run_id=self._next(), profile=Profile.weekly, entities=("people",))

    def _few_keys(self) -> RunRequest:
        keys = self.luck.sample(range(_FIRST, _FIRST + HOT), self.luck.randrange(1, _LONGEST_LIST))
        refs = tuple(Ref(entity="people", legacy_id=key) for key in keys)
        return RunRequest(run_id=self._next(), profile=Profile.on_demand, priority=RunPriority.critical, refs=refs)

    def _next(self) -> str:
        self.runs += 1
        return f"{self.name}-{self.runs}"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Some of the rows get their next version every few milliseconds, until the block ends."""
        hot = range(_FIRST, _FIRST + HOT)
        with (
            psycopg.connect(self.legacy, autocommit=True) as legacy,
            again_and_again(lambda: _change(legacy, self.luck.sample(hot, HOT // 3))),
        ):
            yield

    def _written(self) -> int:
        with psycopg.connect(self.target, autocommit=True) as target:
            row = target.execute(_WRITTEN, (f"{self.name}-%",)).fetchone()
        return int(row[0]) if row else 0


def _change(legacy: psycopg.Connection[tuple[object, ...]], keys: Sequence[int]) -> None:
    legacy.execute(
        "update person set name = 'rival ' || rev, rev = rev + 1, updated_at = clock_timestamp() where id in"
        " (select id from person where id = any(%s) order by id for update skip locked)",
        (list(keys),),
    )
