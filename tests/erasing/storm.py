"""A storm of erasures: threads run, retry, undo and erase on real PostgreSQL; then what is left is looked through."""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import RollbackTask
from hybrid_sync.errors import SyncError
from hybrid_sync.runs.holds import holds, release
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from tests.engine.erasures import erase_rows, with_erasure
from tests.engine.worlds import EngineWorld, run
from tests.rollbacks.oracle import IS, SHOULD

_PEOPLE = """
insert into person (id, clinic_id, email, kind, manager_id, born, settings)
  select i, 1 + i % 2, 'canary-' || i || '-mail@example.org', 1 + i % 3, case when i % 7 = 0 then i - 1 end,
         date '1980-01-01' + i % 9000, format('{"c": "canary-%s-settings"}', i)
  from generate_series(101, 100 + PEOPLE) i;
insert into visit (id, person_id, note)
  select i, i, 'canary-' || i || '-visit' from generate_series(101, 100 + PEOPLE) i;
insert into invoice (id, visit_id, total, paid)
  select i, i, i * 1.05, i % 4 <> 0 from generate_series(101, 100 + PEOPLE) i;
update visit set best_invoice_id = id where id > 100 and id % 4 <> 0;
insert into remark (id, person_id, body)
  select i, i, 'canary-' || i || '-remark' from generate_series(101, 100 + PEOPLE) i;
insert into letter (id, person_id, body)
  select i, i, 'canary-' || i || '-letter' from generate_series(101, 100 + PEOPLE) i;
select setval('remark_id_seq', 100000);
insert into grant_of (person_id, right_id) select i, 1 from generate_series(101, 100 + PEOPLE) i;
"""
_WRITES = (
    "update person set born = born + 1, email = 'canary-' || id || '-new@example.org' where id % 13 = CHANCE % 13",
    "update remark set body = body || '!' where id % 11 = CHANCE % 11",
    "update invoice set total = total + 1 where id % 17 = CHANCE % 17",
    "insert into remark (person_id, body) select id, 'canary-' || id || '-more' from person"
    " where id > 100 and id % 97 = CHANCE % 97",
    "update visit set note = case when note = 'forbidden' then 'canary-' || id || '-back' else 'forbidden' end"
    " where id > 100 and id % 101 = CHANCE % 101",
)
_TABLES = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'hybrid_sync')"
_CANARY = re.compile(r"canary-(\d+)-")


class Storm:
    """One world of `people` persons; each worker has a world of its own over the same databases and parts."""

    def __init__(self, world: EngineWorld, admin_dsn: str, people: int, seed: int) -> None:
        with_erasure(world)
        bulk = {name: one.model_copy(update={"first_load": "bulk"}) for name, one in world.catalog.entities.items()}
        world.catalog = Catalog(bulk)
        self.world = world
        self.admin_dsn = admin_dsn
        self.people = people
        self.luck = random.Random(seed)  # nosec B311 - a game, not a secret
        self.erased: set[int] = set()
        self.done = Counter[str]()
        self.defects: list[str] = []
        self._numbers = 0
        self._calm = threading.Condition()
        self._at_work = 0
        self._paused = False
        with psycopg.connect(world.legacy_dsn, autocommit=True) as legacy:
            legacy.execute(_PEOPLE.replace("PEOPLE", str(people)).encode())
        run(world, "first")

    # --- the storm -------------------------------------------------------------------------------------------------

    def blow(self, to_erase: int, *, restore: Callable[[], None], back_up: Callable[[], None]) -> None:
        """Erase so many persons while everything else goes on; the target is restored to before a part of it."""
        over = threading.Event()
        seeds = [self.luck.random() for _ in range(4)]
        workers = [
            threading.Thread(target=self._work, args=(one, random.Random(seed), over))  # nosec B311
            for one, seed in zip((self._sync, self._ask, self._sync_and_undo, self._write), seeds, strict=True)
        ]
        for worker in workers:
            worker.start()
        ids = self.luck.sample(range(101, 101 + self.people), to_erase)
        parts = [ids[at : at + 25] for at in range(0, len(ids), 25)]
        for number, part in enumerate(parts):
            if number == len(parts) // 3:
                with self.calm():
                    back_up()
            if number == 2 * len(parts) // 3:
                with self.calm():
                    restore()
            self._erase(part)
        over.set()
        for worker in workers:
            worker.join()

    def _erase(self, ids: list[int]) -> None:
        while True:
            try:
                with self.at_work():
                    erase_rows(self._fresh(), *((one,) for one in ids))
            except SyncError as error:  # contention, or a restored target that no run has seen to yet
                self.done[f"erase again ({error.code})"] += 1
                with self.at_work(), suppress(SyncError):
                    run(self._fresh(), self._name("before"), profile="daily")
                continue
            self.erased |= set(ids)
            self.done["erased"] += len(ids)
            return

    def _work(
        self, one: Callable[[EngineWorld, random.Random], None], luck: random.Random, over: threading.Event
    ) -> None:
        while not over.is_set():
            with self.at_work():
                try:
                    one(self._fresh(), luck)
                except SyncError as error:
                    self.done[f"gave way ({error.code})"] += 1
                except psycopg.Error as error:
                    self.done[f"gave way ({error.sqlstate})"] += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, no step may end so
                    self.defects.append(f"{one.__name__} broke: {type(error).__name__}: {error}")
                    return

    def _sync(self, world: EngineWorld, luck: random.Random) -> None:
        run(world, self._name("sync"), profile=luck.choice(("daily", "daily", "weekly")))
        self.done["runs"] += 1

    def _ask(self, world: EngineWorld, luck: random.Random) -> None:
        keys = [luck.randrange(101, 101 + self.people) for _ in range(3)]
        refs = [{"entity": "people", "legacy_id": key} for key in keys]
        refs += [{"entity": "messages", "source": "remark", "legacy_id": key} for key in keys]
        run(world, self._name("ask"), profile="on_demand", refs=refs)
        self.done["asked"] += 1
        for message in luck.sample(world.failure_queue.messages, min(3, len(world.failure_queue.messages))):
            with suppress(SyncError):
                retry_failure(world, message)
                self.done["retries"] += 1

    def _sync_and_undo(self, world: EngineWorld, luck: random.Random) -> None:
        name = self._name("undone")
        run(world, name, profile="daily")
        outcome = rollback_run(world, RollbackTask(run_id=name, out_of_order=True))
        while outcome.more:
            outcome = rollback_run(world, RollbackTask(run_id=name, rollback_id=outcome.rollback_id))
        self.done["undone"] += 1
        self._release(world)

    def _write(self, world: EngineWorld, luck: random.Random) -> None:
        with psycopg.connect(world.legacy_dsn, autocommit=True) as legacy:
            legacy.execute(luck.choice(_WRITES).replace("CHANCE", str(luck.randrange(1_000))).encode())
        self.done["writes"] += 1

    @staticmethod
    def _release(world: EngineWorld) -> None:
        with world.connect_target() as target:
            release(target, [hold.entity for hold in holds(target)])

    # --- workers -----------------------------------------------------------------------------------------------------

    def _fresh(self) -> EngineWorld:
        """A worker of its own: it remembers nothing of what others have heard, and has its own connections."""
        other = EngineWorld(self.world.catalog, self.world.legacy_dsn, self.world.target_dsn)
        for part in ("id_cache", "manifests", "reports", "failure_queue", "erasures"):
            setattr(other, part, getattr(self.world, part))
        return other

    def _name(self, kind: str) -> str:
        with self._calm:
            self._numbers += 1
            return f"{kind}-{self._numbers}"

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self._calm:
            self._calm.wait_for(lambda: not self._paused)
            self._at_work += 1
        try:
            yield
        finally:
            with self._calm:
                self._at_work -= 1
                self._calm.notify_all()

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Nobody is at work: for what happens to whole databases."""
        with self._calm:
            self._paused = True
            self._calm.wait_for(lambda: not self._at_work)
        try:
            yield
        finally:
            with self._calm:
                self._paused = False
                self._calm.notify_all()

    # --- the verdict -------------------------------------------------------------------------------------------------

    def judge(self, what: str) -> None:
        """Runs end well; nobody is back; everything else is as legacy has it."""
        world = self._fresh()
        self._release(world)
        with psycopg.connect(world.legacy_dsn, autocommit=True) as legacy:
            legacy.execute("update visit set note = 'canary-' || id || '-end' where note = 'forbidden'")
        for kind in ("weekly", "verify"):
            name = self._name(f"{what}-{kind}")
            outcome = run(world, name, profile=kind).outcome
            if outcome.status != "succeeded":
                self.defects.append(f"{what}: the {kind} run ended {outcome.status}: {self._why(name)}")
        self._look_for_canaries(what)
        self._compare(what)

    def _why(self, run_id: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.admin_dsn, autocommit=True) as target:
            reasons = target.execute(
                "select entity, reason, sqlstate, constraint_name, count(*), min(key) from hybrid_sync.failed_record"
                " where status <> 'resolved' group by 1, 2, 3, 4 order by 1, 2"
            ).fetchall()
            states = target.execute(
                "select entity, status, left(failure::text, 300), conservation->>'missing', conservation->>'absent',"
                " conservation->>'stale' from hybrid_sync.run_entity where run_id = %s and (status <> 'verified'"
                " or (conservation->>'absent')::int + (conservation->>'stale')::int > 0)",
                (run_id,),
            ).fetchall()
            return [*reasons, *states]

    def _look_for_canaries(self, what: str) -> None:
        with psycopg.connect(self.admin_dsn, autocommit=True) as target:
            for (table,) in target.execute(_TABLES).fetchall():
                query = f"select distinct m[1]::int from {table} t, regexp_matches(t::text, 'canary-([0-9]+)-', 'g') m"
                rows = target.execute(query.encode()).fetchall()
                back = {row[0] for row in rows} & self.erased
                if back:
                    self.defects.append(f"{what}: {len(back)} of the erased are in {table}, such as {min(back)}")
        world = self.world
        outside = [*world.reports.documents.values(), *(vars(m) for m in world.failure_queue.messages)]
        outside += [task.model_dump(mode="json") for tasks in world.manifests.tasks.values() for task in tasks]
        outside += [one.model_dump(mode="json") for one in world.erasures.kept.values()]
        if _CANARY.search(json.dumps(outside, default=str)):
            self.defects.append(f"{what}: a value stands outside the databases")

    def _compare(self, what: str) -> None:
        with (
            psycopg.connect(self.world.legacy_dsn, autocommit=True) as legacy,
            psycopg.connect(self.admin_dsn, autocommit=True) as target,
        ):
            for name, (_, query) in SHOULD.items():
                should = Counter(row for one in legacy.execute(query.encode()) if (row := self._expected(name, one)))
                found = Counter(tuple(row[1:]) for row in target.execute(IS[name].encode()))
                if should != found:
                    lacks, more = len(list((should - found).elements())), len(list((found - should).elements()))
                    self.defects.append(f"{what}: {name} lacks {lacks} rows and has {more} that it should not")

    def _expected(self, name: str, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What the target should have of legacy's row; of the erased by the policies of `tests.engine.erasures`."""
        if name == "people" and row[0] in self.erased:
            return (row[0], row[1], f"erased-{row[0]}", row[3], row[4], None, "{}")
        if name == "visits" and row[1] in self.erased:
            return (*row[:2], None, row[3])
        if name == "messages" and row[2] in self.erased:
            return None
        return None if name == "grants" and row[0] in self.erased else tuple(row)
