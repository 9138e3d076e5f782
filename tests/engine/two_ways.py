"""Two carriers of one target, one by each way, while legacy changes: nothing is lost, and no row goes back.

Legacy counts each row up, each count is asked for, and both carriers take what is asked for.  A trigger of the target
writes down what it is given.  In the middle the direct port closes, and that carrier goes on by REST.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import psycopg

from hybrid_sync.contracts import Ref, RunRequest
from hybrid_sync.errors import SyncError
from hybrid_sync.steps.sync_keys import sync_keys
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld

KEYS = range(1001, 21001, 250)
"""In some forty buckets."""
AT_ONCE = 8
"""Rows of one run, of one change."""

WITNESS = """
create table witness (seq bigserial primary key, key bigint, total numeric);
create function witness() returns trigger language plpgsql security definer as
  $$ begin insert into public.witness (key, total) values (new.legacy_id, new.total); return null; end $$;
create trigger witness after insert or update on invoices for each row when (new.legacy_id > 1000)
  execute function witness()
"""


@dataclass
class Flood:
    """What is asked for, and what became of the runs."""

    legacy_dsn: str
    rng: random.Random
    waiting: Counter[int] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)
    over: bool = False
    _moved: threading.Condition = field(default_factory=threading.Condition)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def change(self, changes: int, middle: Callable[[], None]) -> None:
        """Count rows up, and ask for them, once each has committed."""
        with psycopg.connect(self.legacy_dsn, autocommit=True) as legacy:
            for n in range(changes):
                with self._moved:  # as fast as the carriers can: every change is one more run
                    self._moved.wait_for(lambda: len(self.waiting) < 2 * AT_ONCE or self.errors)
                keys = self.rng.sample(KEYS, AT_ONCE)
                legacy.execute("update invoice set total = total + 1 where id = any(%s)", (keys,))
                self.ask(keys)
                if n == changes // 2:
                    middle()

    def ask(self, keys: Sequence[int]) -> None:
        with self._moved:
            self.waiting.update(keys)
            self._moved.notify_all()

    def end(self) -> None:
        with self._moved:
            self.over = True
            self._moved.notify_all()

    def take(self) -> list[int]:
        """Some of the keys that wait; none once all is over.  A carrier that fails asks for them again."""
        with self._moved:
            self._moved.wait_for(lambda: self.waiting or self.over)
            keys = list(self.waiting)[:AT_ONCE]
            for key in keys:
                del self.waiting[key]
            self._moved.notify_all()
            return keys

    def carry(self, name: str, world: EngineWorld) -> None:
        """Until all is over and nothing waits."""
        try:
            while keys := self.take():
                self._carry(name, world, keys)
        except BaseException as error:
            self.errors.append(error)
            self.ask(())
            raise

    def _carry(self, name: str, world: EngineWorld, keys: list[int]) -> None:
        refs = tuple(Ref(entity="invoices", legacy_id=key) for key in keys)
        request = RunRequest(run_id=f"flood-{next(self._numbers)}", profile="on_demand", refs=refs)
        try:
            said = sync_keys(world, request)
        except SyncError as error:
            self.runs[f"{name}: {error.code}"] += 1
            self.ask(keys)
            return
        self.runs[f"{name}: {said.why or 'done'}"] += 1
        if said.whole:  # the whole flow would carry them
            self.ask(keys)


def flood(
    legacy_dsn: str, carriers: dict[str, EngineWorld], *, seed: int, changes: int, middle: Callable[[], None]
) -> Flood:  # fmt: skip
    """Play it to the end, with one thread for each carrier."""
    played = Flood(legacy_dsn, random.Random(seed))
    threads = [threading.Thread(target=played.carry, args=item) for item in carriers.items()]
    for thread in threads:
        thread.start()
    try:
        played.change(changes, middle)
    finally:
        played.end()
        for thread in threads:
            thread.join()
    return played


def gone_back(target: Query) -> list[tuple[int, int]]:
    """How often the target was given an older value of a row than it had."""
    return target(
        "select key, count(*) from (select key, total < lag(total) over (partition by key order by seq) as older"
        " from witness) w where older group by key"
    )
