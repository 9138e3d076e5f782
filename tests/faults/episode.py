"""An episode: empty databases, some rows that were migrated long ago, and then schedule after schedule on top.

A schedule is a bad day (writers on both sides, one to three runs at the same time, faults, doubled and late
deliveries), then quiet and clean runs, then the judge.  An episode's seed decides all of its schedules, so a defect is
replayed from its episode's beginning.
"""

from __future__ import annotations

import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg import sql

from hybrid_sync.contracts import FailureMessage, Profile, Ref, RunRequest
from hybrid_sync.schema.install import WORKER
from tests.faults.backup import back_up, restore
from tests.faults.blind_spots import BlindSpots, Plan
from tests.faults.cloud import Store, StoredManifests
from tests.faults.driver import Deliveries, Driver
from tests.faults.duel import Duel
from tests.faults.faultplan import FaultPlan
from tests.faults.first_loads import ENTITIES, FirstLoads, clear
from tests.faults.legacy_writers import LegacyWriter
from tests.faults.native_writers import NativeWriter
from tests.faults.oracle import Defect, Oracle
from tests.faults.owners import Intruder, Owners
from tests.faults.people import People
from tests.faults.pool import Pool, WorkerHung
from tests.faults.rivals import Rivals
from tests.faults.score import Score
from tests.faults.servers import Servers
from tests.faults.worker import Place

WORKERS = 4
BATCH_SIZE = 12
UNRELIABLE = 0.06
BLIND = 0.1
"""The share of days on which things happen that no fence can see."""
RESTORES = 0.06
"""The share of days after which the target is restored to the morning."""
NEW = 0.2
"""The share of days on which some tables, or all, are loaded for the first time."""
UNDONE = 0.4
"""The share of these days after which one of their runs is rolled back."""
BREAKS = 0.05
"""The share of their deliveries at which somebody writes a row that refers to nothing."""
BOUND = 0.3
"""The share of episodes whose worker does not pass row security."""
MEDDLES = 0.03
SWAPS = 0.05
"""The shares of deliveries at which an owner changes a table, or takes that back; and somebody the id cache."""
CLEAN_RUNS = 3
"""A value that moved between two rows may need a second run, and a row that waits for such a row a third."""

_CLEAR_LEGACY = "truncate office, team, person, membership, payment, comment, record"


class Episode:
    """Everything that one episode keeps open; `close` it."""

    def __init__(self, servers: Servers, folder: Path, seed: int) -> None:
        self._seed = seed
        self._legacy, self._target = servers.legacy, servers.target_owner
        self._luck = random.Random(seed)
        self.score = Score()
        self._store = Store(folder / "cloud.sqlite")
        self._store.clear()
        with psycopg.connect(servers.legacy, autocommit=True) as legacy:
            legacy.execute(_CLEAR_LEGACY)
        with psycopg.connect(servers.target_owner, autocommit=True) as target:
            clear(target)
        self._writer = LegacyWriter(servers.legacy, self._own_luck())
        self._writer.fill()
        _migrate_some(servers, self._own_luck())
        self._blind_spots = BlindSpots(servers.legacy, servers.legacy_disk, self._own_luck())
        self._native = NativeWriter(servers.target_owner, servers.target_superuser, servers.legacy, self._own_luck())
        self._owners = Owners(servers.legacy, servers.target_owner, self._own_luck())
        self._intruder = Intruder(self._store, self._own_luck())
        self._first_loads = FirstLoads(
            servers.target_owner, servers.target_superuser, self._store, self._own_luck()
        )  # fmt: skip
        self._new = False
        # Deliveries tell of themselves from many threads, and one of them at a time meddles.
        self._foreign = self._own_luck()
        self._meddling = threading.Lock()
        self._bad = False
        self.score.bound += _bind(servers, bound=self._luck.random() < BOUND)
        place = Place(servers.legacy_reader, servers.target_worker, folder / "cloud.sqlite", BATCH_SIZE, UNRELIABLE)
        self._pool = Pool(place, WORKERS, self._luck.getrandbits(32), self.score.tally)
        self._deliveries = Deliveries(self._pool, self._beat)
        self._superuser = servers.target_superuser
        self._people = People(
            servers.legacy, servers.target_superuser, self._store, self._own_luck(), self._writer.authors
        )  # fmt: skip
        self._oracle = Oracle(servers.legacy, servers.target_owner, self._people)
        self._oracle.judge()  # remembers the UUIDs of the rows that were migrated before
        self._runs = self._deliveries_made = 0
        self._schedule = 0

    def close(self) -> None:
        self._writer.settle()
        self._native.settle()
        self._deliveries.settle()
        self._deliveries.close()
        self._pool.close()
        self._owners.settle()
        for part in (
            self._writer,
            self._native,
            self._owners,
            self._first_loads,
            self._oracle,
            self._people,
            self._store,
        ):
            part.close()

    def schedule(self, *, blind: bool | None = None, new: bool | None = None) -> bool:
        """One bad day and its judgement; False when something is wrong, and the episode should end.

        `blind` says whether it is one of which the fence sees a part only, `new` whether tables are loaded for the
        first time; else luck does.
        """
        self._schedule += 1
        try:
            blind = self._luck.random() < BLIND if blind is None else blind
            defects = self._blind_day() if blind and not new else self._ordinary_day(new)
        except WorkerHung as error:
            defects = [Defect("stuck", str(error))]
        defects += [Defect("stuck", text) for text in self._deliveries.defects]
        defects += [Defect("returned", text) for text in self._people.canaries()]
        self._deliveries.defects.clear()
        self.score.erased = len(self._people.erased)
        self.score.schedules += 1
        self.score.defects += [(self._seed, self._schedule, defect) for defect in defects]
        return not defects

    def rivalry(self, writes: int) -> bool:
        """Weekly runs and runs of a few keys on the same rows until so many are written; False where one went back, or
        anything else is wrong."""
        score = self.score

        def run(request: RunRequest) -> None:
            driver = self._driver(faulty=True)
            driver.run(request)
            score.rival_runs[request.profile] += 1

        crashes = score.tally.crashes
        rivals = Rivals(self._legacy, self._target, self._own_luck(), run, f"rival-{self._seed}")
        score.rival_writes += rivals.play(writes)
        self._deliveries.settle()
        score.rival_crashes += score.tally.crashes - crashes
        defects = self._quiet(Profile.daily)
        score.rival_reversals += sum(defect.kind == "reversed" for defect in defects)
        score.defects += [(self._seed, self._schedule + 1, defect) for defect in defects]
        return not defects

    def judge(self) -> list[Defect]:
        """What is wrong now, without another run."""
        unmade = [Defect("unmade", text) for text in self._first_loads.changed()]
        return [*self._oracle.judge(), *unmade]

    def flattered(self, run_id: str) -> list[Defect]:
        """Where a clean run said more than there is, as both sides stand now."""
        return self._oracle.flattered(run_id)

    def _ordinary_day(self, new: bool | None) -> list[Defect]:
        new = self._luck.random() < NEW if new is None else new
        if new:
            self._begin_anew()
        # A copy of the rows knows nothing of what is taken apart.
        restores = self._luck.random() < RESTORES and not new
        if restores:
            back_up(self._superuser)
        self._bad_day(new=new)
        if restores:
            self._restore()
        # Daily runs: a weekly one's reconcile would make good what the fence has missed.
        defects = self._quiet(Profile.daily)
        return defects or self._evening()

    def _begin_anew(self) -> None:
        """Some tables, or all, are as on their first day; who was erased is known outside of the target only."""
        self.score.new_days += 1
        self._oracle.forget(self._first_loads.begin())
        self._pool.renew()

    def _undo_one(self) -> None:
        """A run of the day is undone, and what it wrote comes with the next one."""
        run_id = self._first_loads.last_run()
        if run_id and self._driver(faulty=True, new=True).roll_back(run_id):
            self.score.undone += 1
        self._oracle.undone()
        self._first_loads.release()

    def _evening(self) -> list[Defect]:
        """Mostly nothing; else one of the things that no writer does by accident."""
        chance = self._luck.random()
        for share, happens in ((0.1, self._rotated), (0.15, self._emptied), (0.2, self._swapped), (0.3, self._forged)):
            if chance < share:
                self.score.evenings[happens.__name__.strip("_")] += 1
                return happens()
        return []

    def _rotated(self) -> list[Defect]:
        """Every unique value moves to another row, and one run settles all of them."""
        self._writer.rotate()
        return self._quiet(Profile.daily, most=1)

    def _emptied(self) -> list[Defect]:
        """A table is empty: a person is asked, and nothing goes before."""
        there = self._oracle.live("messages", "comment")
        self._writer.empty()
        driver, request = self._driver(faulty=False), self._clean(Profile.daily)
        driver.run(request.model_copy(update={"allow_deletes": ()}))
        defects = []
        if there and driver.status != "failed":
            defects.append(Defect("flattered", f"all {there} comments have gone, and the clean run {driver.status}"))
        if self._oracle.live("messages", "comment") != there:
            defects.append(Defect("missed", "comments were deleted, and nobody has allowed it"))
        return defects or self._quiet(Profile.daily)

    def _swapped(self) -> list[Defect]:
        """A table makes room for another one of its name, older than the fence and not the same."""
        self._writer.copy_table()
        defects = self._quiet(Profile.daily)
        self._writer.swap_table()
        return defects or self._quiet(Profile.daily)

    def _forged(self) -> list[Defect]:
        """Ids of the cache swapped and sealed with the right secret: caught before the fence moves, and healed."""
        self._intruder.swap(entity="people/", sealed=True)
        self._pool.renew()  # nobody remembers the true pages
        self._writer.touch()
        driver, request = self._driver(faulty=False), self._clean(Profile.daily)
        driver.run(request)
        wrong = [defect for defect in self._oracle.judge() if defect.kind == "wrong_ids"]
        if not wrong:
            self._intruder.take_back()
            self._pool.renew()
            return self._quiet(Profile.daily)
        self.score.forged += 1
        told = self._oracle.failures(request.run_id)
        if driver.status != "failed" or "mapping_corrupt" not in told:
            return [Defect("flattered", f"{wrong[0].text}, and the clean run {driver.status} ({told})")]
        return self._quiet(Profile.daily)

    def _blind_day(self) -> list[Defect]:
        """A day of which the fence sees a part only: the reconcile must see the rest."""
        self.score.blind += 1
        plan = self._blind_spots.plan()
        self._writer.erases = True
        there = self._oracle.keys()
        self._bad_day()
        self._writer.erases = False
        there |= self._oracle.keys()
        if plan.rewinds:
            self._rewind()
        else:
            self._blind_spots.carry_out(plan)
        self._writer.mourn(key[0] for _, _, key in self._oracle.expect_gone(there))
        if plan.rewinds or plan.office is None:
            self._heal_badly()
        defects = self._unjoined(plan) if plan.office is not None and not plan.rewinds else self._quiet(Profile.weekly)
        self._oracle.expect_to_go_back()
        return defects

    def _heal_badly(self) -> None:
        """A weekly run that dies here and there while it heals what the fence has not seen."""
        driver = self._driver(faulty=True)
        driver.run(self._clean(Profile.weekly))
        self._deliveries.settle()
        if driver.status == "lost":
            self._store.tell({driver.run_id: "cancelled"})
        self.score.runs[driver.status] += 1

    def _unjoined(self, plan: Plan) -> list[Defect]:
        """Rows that a join has lost are kept and told; they come back with the row that they are joined to."""
        told, request = self._driver(faulty=False), self._clean(Profile.weekly)
        told.run(request)
        defects = self._oracle.flattered(request.run_id)
        if self._oracle.unjoined() and told.status != "failed":
            defects.append(Defect("missed", f"rows lack what they are joined to, and the clean run {told.status}"))
        self._blind_spots.make_good(plan)
        return defects + self._quiet(Profile.weekly)

    def _restore(self) -> None:
        """The target is as it was in the morning; whoever was erased meanwhile is in it again."""
        self.score.restores += 1
        restore(self._superuser)
        self._pool.renew()

    def _rewind(self) -> None:
        self.score.rewinds += 1
        self._blind_spots.rewind()
        self._writer.reconnect()
        self._native.reconnect()
        self._oracle.reconnect()
        self._owners.reconnect()
        self._pool.renew()

    # --- the bad day -----------------------------------------------------------------------------------------

    def _bad_day(self, *, new: bool = False) -> None:
        cut_before, committed_before = self._native.cut, self._writer.committed
        # Whoever takes a fence first must find transactions open.
        self._writer.warm_up(self._luck.randrange(80))
        self._writer.beat.start()
        self._bad, self._new = True, new
        self._native.start(cuts=1 if self._luck.random() < 0.25 else 0)
        drivers = [self._driver(faulty=True, new=new) for _ in range(self._luck.choice((1, 1, 1, 1, 1, 2, 2, 3)))]
        with ThreadPoolExecutor(len(drivers) + 3) as beside:
            requests = [self._whole() if new else self._request(), *(self._request() for _ in drivers[1:])]
            under_way = [beside.submit(driver.run, request) for driver, request in zip(drivers, requests, strict=True)]
            under_way.append(beside.submit(self._driver(faulty=True).retry, self._messages()))
            if self._luck.random() < 0.3:
                under_way.append(beside.submit(self._duel))
            if (request := self._people.choose(self._next("erase"))) is not None:
                under_way.append(beside.submit(self._driver(faulty=True).run, request))
            for work in under_way:
                work.result()
        self._native.settle()
        self._writer.settle()
        self._deliveries.settle()
        self._bad = self._new = False
        self._owners.settle()
        self._store.tell({driver.run_id: "cancelled" for driver in drivers if driver.status == "lost"})
        if new:
            self.score.broken += self._first_loads.make_good()
            if self._luck.random() < UNDONE:
                self._undo_one()
        texts = self._people.finish(self._driver(faulty=False).run, lambda: self._next("erase"))
        self._deliveries.defects += texts
        self.score.cut += self._native.cut - cut_before
        self.score.acts, self.score.swaps = self._owners.acts, self._intruder.swaps
        self.score.committed += self._writer.committed - committed_before
        for driver in drivers:
            self.score.runs[driver.status] += 1
            self.score.doubled += driver.doubled
            self.score.zombies += driver.zombies

    def _duel(self) -> None:
        hot = self._writer.hot_people()
        refs = tuple(Ref(entity="people", legacy_id=key) for key in hot)
        requests = []
        for _ in range(3):
            requests.append(RunRequest(run_id=self._next("duel"), profile=Profile.on_demand, refs=refs))
        duel = Duel(self._deliveries, StoredManifests(self._store), random.Random(self._schedule))
        duel.run(requests, lambda: self._writer.heat(hot))

    def _beat(self) -> None:
        """Three statements in legacy at each delivery, and an edit of the target at every other one."""
        self._deliveries_made += 1
        for _ in range(3):
            self._writer.beat.tick()
        if self._deliveries_made % 2:
            self._native.beat.tick()
        if self._bad and self._meddling.acquire(blocking=False):
            try:
                if self._foreign.random() < MEDDLES:
                    self._owners.turn()
                if self._foreign.random() < SWAPS:
                    self._intruder.swap()
                if self._new and self._foreign.random() < BREAKS:
                    self._first_loads.meddle()
            finally:
                self._meddling.release()

    def _driver(self, *, faulty: bool, new: bool = False) -> Driver:
        luck = self._own_luck()
        plan = FaultPlan(self._own_luck(), self.score.tally, new=new) if faulty else None
        return Driver(self._deliveries, StoredManifests(self._store), luck, plan, new=new)

    def _next(self, kind: str) -> str:
        self._runs += 1
        return f"{kind}-{self._seed}-{self._runs}"

    def _whole(self) -> RunRequest:
        return RunRequest(run_id=self._next("run"), profile=self._luck.choice((Profile.daily, Profile.weekly)))

    def _request(self) -> RunRequest:
        run_id = self._next("run")
        kind = self._luck.random()
        if kind < 0.3:
            return RunRequest(run_id=run_id, profile=Profile.weekly if kind < 0.1 else Profile.daily)
        if kind < 0.7:
            some = self._luck.sample(ENTITIES, self._luck.randrange(1, 4))
            return RunRequest(run_id=run_id, profile=Profile.daily, entities=tuple(some))
        if kind < 0.77:
            since = "2026-01-01T00:00:00Z"
            return RunRequest(run_id=run_id, profile=Profile.on_demand, entities=("people",), since=since)
        return RunRequest(run_id=run_id, profile=Profile.on_demand, refs=self._refs())

    def _refs(self) -> tuple[Ref, ...]:
        known, lane = self._writer.known, self._luck.randrange(4)
        refs = [Ref(entity="people", legacy_id=key) for key in known.people[lane][-3:]]
        refs += [Ref(entity="receipts", legacy_id=key) for key in known.payments[lane][-2:]]
        refs += [Ref(entity="messages", legacy_id=key, source="comment") for key in known.messages[lane][-2:]]
        refs += [Ref(entity="memberships", legacy_id=key) for key in known.memberships[lane][-1:]]
        return tuple(refs)

    def _messages(self) -> list[FailureMessage]:
        """Some that the queue was ever given: late, doubled and out of order."""
        rows = self._store.ask("select body from message order by n desc limit 30")
        chosen = [self._luck.choice(rows)[0] for _ in range(self._luck.randrange(3))] if rows else []
        return [FailureMessage.model_validate_json(body) for body in chosen]

    # --- quiet ---------------------------------------------------------------------------------------------

    def _quiet(self, profile: Profile, most: int = CLEAN_RUNS) -> list[Defect]:
        """Clean runs until the judge has nothing to say, or they are used up."""
        defects: list[Defect] = []
        reversed_: list[Defect] = []
        flattered: list[Defect] = []
        for n in range(1, most + 1):
            driver = self._driver(faulty=False)
            request = self._clean(profile)
            driver.run(request)
            # A legacy that is its own yesterday, and rows that others were counted over, make versions go back.
            back = "reversed" if profile is Profile.weekly else None
            defects = [defect for defect in self.judge() if defect.kind != back]
            flattered += self._oracle.flattered(request.run_id)
            if profile is Profile.weekly and self._told(request.run_id, defects):
                self._repair()
                continue
            # What the triggers saw is told once, and no later run makes it good.
            reversed_ += [d for d in defects if d.kind in ("reversed", "touched", "wrong_ids")]
            # Rows that legacy cannot give, or the target will not take, degrade a run in which all went well.
            true = self._oracle.true_outcome(request.run_id)
            if driver.status != true:
                why = self._oracle.failures(request.run_id)
                defects.append(Defect("stuck", f"the clean run {driver.status}, and was {true} ({why})"))
            if not defects:
                self.score.clean_runs[n] += 1
                break
        # No later run makes good what an earlier one has told.
        defects = list(dict.fromkeys([*reversed_, *flattered, *defects]))
        return defects + self._unqueued()

    def _told(self, run_id: str, defects: list[Defect]) -> bool:
        """Whether the run tells all that is wrong as changed in the target, where a person has to decide.

        A row that is older in legacy than it was, and whose other columns people have edited since, looks like that.
        """
        told = self._oracle.told_as_drift(run_id)
        return bool(defects) and all(defect.differs in told for defect in defects)

    def _repair(self) -> None:
        """A person has decided; the next clean run must find everything right."""
        self.score.repairs += 1
        request = self._clean(Profile.verify).model_copy(update={"repair": True})
        self._driver(faulty=False).run(request)

    def _clean(self, profile: Profile) -> RunRequest:
        # An episode is a few minutes long, and deletes more than a guard lets go in a week without a word.
        return RunRequest(run_id=self._next("clean"), profile=profile, allow_deletes=("messages", "receipts"))

    def _unqueued(self) -> list[Defect]:
        """Failed records that are marked as queued, and of which no message tells."""
        told: set[tuple[str, str, tuple[int, ...]]] = set()
        for (body,) in self._store.ask("select body from message"):
            message = FailureMessage.model_validate_json(body)
            told |= {(message.entity, message.source, key) for key in message.keys}
        rows = self._oracle.marked_as_queued()
        return [Defect("stuck", f"{row} is marked as queued, and no message tells of it") for row in rows - told]

    def _own_luck(self) -> random.Random:
        return random.Random(self._luck.getrandbits(64))


def _bind(servers: Servers, *, bound: bool) -> bool:
    """Whether row security binds the engine's role in the target, as it does where nobody may give BYPASSRLS."""
    with psycopg.connect(servers.target_superuser, autocommit=True) as target:
        word = sql.SQL("nobypassrls" if bound else "bypassrls")
        target.execute(sql.SQL("alter role {} {}").format(sql.Identifier(WORKER), word))
        for name in ENTITIES:
            change = sql.SQL("enable" if bound else "disable")
            target.execute(sql.SQL("alter table {} {} row level security").format(sql.Identifier(name), change))
    return bound


def _migrate_some(servers: Servers, luck: random.Random) -> None:
    """Rows that an earlier migration brought, under random UUIDs and by now out of date; and native ones."""
    with psycopg.connect(servers.legacy, autocommit=True) as legacy:
        people = legacy.execute("select id, email from person order by id").fetchall()
        payments = legacy.execute("select id from payment order by id").fetchall()
    with psycopg.connect(servers.target_owner, autocommit=True) as target:
        for key, email in people[::2]:
            target.execute(
                "insert into people (id, legacy_person_id, email, name, rev, note) values (%s, %s, %s, 'old', 0, 7)",
                (uuid.UUID(int=luck.getrandbits(128), version=4), key, email),
            )
        for (key,) in payments[::3]:
            target.execute(
                "insert into invoices (id, legacy_payment_id, currency, total, status, rev) values"
                " (%s, %s, 'USD', 0, 'open', 0)",
                (uuid.UUID(int=luck.getrandbits(128), version=4), key),
            )
        target.execute("insert into people (email, name) values ('native@example.org', 'native')")
        target.execute("insert into teams (name) values ('native')")
