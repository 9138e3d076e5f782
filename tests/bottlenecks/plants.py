"""A small synced world that is measured as the deployed functions measure it, and what can be planted in it.

Each planted bottleneck costs several times what its rule asks for, so that a loaded machine changes nothing; and a
healthy world has none of their conditions, however slow it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg

from hybrid_sync.entrypoint import step
from hybrid_sync.errors import TooManyConnections
from hybrid_sync.pool import Pool
from hybrid_sync.postgres import Connection
from hybrid_sync.runs.usage import Recorder
from hybrid_sync.schema.install import WORKER
from hybrid_sync.tuning.model import Performance
from hybrid_sync.tuning.performance import performance_of
from hybrid_sync_cli.flow.execution import Delivery
from hybrid_sync_cli.flow.play import play, raised
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, execution
from tests.flow.functions import Steps, deployed
from tests.unit.lambdas import FakeContext

_LEGACY = """
create table teams (id int primary key, name text not null);
create table members (id int primary key, team_id int, name text not null, score int not null default 0);
insert into teams select i, 'team ' || i from generate_series(1, 2000) i;
insert into members select i, 1900 + i % 100, 'member ' || i from generate_series(1, 600) i;
"""
_TARGET = """
create table teams (id uuid primary key, legacy_id bigint unique, name text not null);
create table members (id uuid primary key, legacy_id bigint unique, team_id uuid references teams, name text not null,
                      score int not null);
create index on members (team_id);
create function public.touch() returns trigger language plpgsql as $$ begin new.name := new.name; return new; end $$;
create trigger touch before update on teams for each row execute function public.touch();
-- Nobody syncs it.
create table notes (id bigint generated always as identity, team_id uuid references teams, words text);
create index notes_team on notes (team_id);
insert into notes (words) select repeat('word ', 12) from generate_series(1, 200000);
analyze notes;
"""
REFUSALS = 8
SLEEP = "0.02"


class Measured:
    """Delivers to the functions through their own border, which measures each call and keeps it with its run."""

    def __init__(self, world: EngineWorld) -> None:
        self._steps = Steps(world, world.segment_rows)
        self._recorder = Recorder(world.connect_target)

    def __call__(self, delivery: Delivery) -> Any:
        message, _ = deployed(delivery.function)
        name = f"hybrid-sync-{delivery.function.replace('_', '-')}"
        border = step(message, name=delivery.function, record_call=self._recorder.record)
        handler = border(lambda given: self._steps(delivery.function, given))
        try:
            return handler(delivery.payload, replace(FakeContext(), function_name=name))
        except Exception as error:
            raise raised(type(error).__name__, str(error)) from error


class Ground:
    """Two tables, synced once; `seed` says how much of them changes and goes."""

    def __init__(self, legacy_dsn: str, target_dsn: str, seed: int) -> None:
        self.legacy_dsn, self.target_dsn = legacy_dsn, target_dsn
        self.world = small_world(
            legacy_dsn, target_dsn, _LEGACY, _TARGET,
            entity("teams", columns={"name": "a.name"}, on_delete={"policy": "hard", "floor": 1_000, "share": 1}),
            entity("members", references={"team_id": {"to": "teams", "key": "a.team_id"}},
                   columns={"name": "a.name", "score": "a.score"}),
        )  # fmt: skip
        dice = random.Random(seed)
        self.changed, self.gone = dice.randrange(150, 200), dice.randrange(120, 160)
        self.weeks = 0
        self.run("first")

    def run(self, name: str) -> Performance:
        """A weekly run through the whole flow."""
        run_id = f"weekly-{name}"
        play(execution(self.world, run_id, profile="weekly"), Measured(self.world))
        with self.world.connect_target() as target:
            [(status,)] = target.execute("select status from hybrid_sync.run where run_id = %s", (run_id,)).fetchall()
            assert status == "succeeded", status
            found = performance_of(target, run_id, self.world.catalog)
        assert found is not None, "each call is measured"
        return found

    def week(self, name: str) -> Performance:
        """Legacy lives on, and the next run carries that."""
        with psycopg.connect(self.legacy_dsn, autocommit=True) as legacy:
            legacy.execute("update members set score = score + 1 where id <= %s", (self.changed,))
            legacy.execute("delete from teams where id <= %s", (self.gone * (self.weeks + 1),))
        self.weeks += 1
        return self.run(name)

    def owner(self, *statements: str) -> None:
        with psycopg.connect(self.target_dsn, autocommit=True) as target:
            for statement in statements:
                target.execute(statement.encode())

    def close(self) -> None:
        self.world.pool.close()


def healthy(ground: Ground) -> Performance:
    return ground.week(f"healthy-{ground.weeks}")


def missing_index(ground: Ground) -> Performance:
    ground.owner("drop index notes_team")
    try:
        return ground.week("missing-index")
    finally:
        ground.owner("create index notes_team on notes (team_id)")


def slow_trigger(ground: Ground) -> Performance:
    ground.owner(
        "create function public.slow() returns trigger language plpgsql as"
        f" $$ begin perform pg_catalog.pg_sleep({SLEEP}); return new; end $$",
        "create trigger audit_each after update on members for each row execute function public.slow()",
    )
    try:
        return ground.week("slow-trigger")
    finally:
        ground.owner("drop trigger audit_each on members")


def throttled_pool(ground: Ground) -> Performance:
    """The role has no connection left, until the run has been refused so many times."""
    before = ground.world
    before.pool.close()
    let_in = f"alter role {WORKER} connection limit -1"
    ground.world = _Refused(before, lambda: ground.owner(let_in))
    ground.owner(f"alter role {WORKER} connection limit 0")
    try:
        return ground.week("throttled-pool")
    finally:
        ground.owner(let_in)
        ground.world = before


class _Refused(EngineWorld):
    """A worker with a small budget, which keeps no connection; `let_in` is called once it was refused often enough."""

    def __init__(self, world: EngineWorld, let_in: Callable[[], None]) -> None:
        super().__init__(world.catalog, world.legacy_dsn, world.target_dsn)
        self.id_cache, self.pool = world.id_cache, Pool(keeps=False)
        self._let_in = let_in
        self._refused = 0

    def connect_target(self) -> Connection:
        try:
            return super().connect_target()
        except TooManyConnections:
            self._refused += 1
            if self._refused == REFUSALS:
                self._let_in()
            raise


PLANTS: dict[str, tuple[Callable[[Ground], Performance], str, str]] = {
    "missing_index": (missing_index, "teams", "create index concurrently on public.notes (team_id);"),
    "slow_trigger": (slow_trigger, "members", ""),
    "throttled_pool": (throttled_pool, "", ""),
}
"""Code -> what plants it, the entity that is named, and the statement that helps."""


def wrong(code: str, found: Performance) -> list[str]:
    """Why the analytics has not named just this one; the healthy world's `code` is empty."""
    named = [one.code for one in found.bottlenecks]
    if not code:
        return [f"the healthy world: {one.sentence}" for one in found.bottlenecks]
    if named != [code]:
        return [f"{code}: named {named or 'nothing'}; {found.sentence}"]
    [one], (_, entity_name, ddl) = found.bottlenecks, PLANTS[code]
    told = [(one.entity, entity_name), (one.ddl, ddl), (found.sentence, one.sentence)]
    return [f"{code}: {said!r} instead of {due!r}" for said, due in told if said != due] or (
        [] if one.remedy else [f"{code}: no remedy"]
    )
