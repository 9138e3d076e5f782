"""Unique values that moved between rows of different batches are right after one run, and undone by one rollback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import Ref, RollbackTask, SettleTask
from hybrid_sync.errors import TooManyMovedValues
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.runs.store import batches_done
from hybrid_sync.schema.install import install
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.settle_uniques import settle_uniques
from hybrid_sync.write.journal import CHANGES
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

ROWS = 12
SPREAD = 500
"""Legacy ids lie so far apart that every row has a bucket, and with batch_size 1 a batch, of its own."""


def catalog(columns: str, policy: str = "ignore", **more: Any) -> Catalog:
    entity = {
        "entity": "slots", "target": "slots", "on_delete": {"policy": policy} | more,
        "sources": {
            "slot": {
                "from": "slot s", "key": {"legacy_id": "s.id"}, "columns": {c: f"s.{c}" for c in columns.split(", ")}
            }
        },
    }  # fmt: skip
    return Catalog({"slots": Entity.model_validate(entity)})


World = Callable[..., EngineWorld]


@pytest.fixture
def make(legacy_db: str, target_db: str) -> World:
    """A world of one table with these columns, filled by these expressions over i, and run once."""

    def made(table: str, values: str, rule: str = "", **policy: Any) -> EngineWorld:
        columns = ", ".join(part.split()[0] for part in table.split(", "))
        with psycopg.connect(legacy_db, autocommit=True) as legacy:
            legacy.execute(f"create table slot (id int primary key, {table})".encode())
            legacy.execute(f"insert into slot select i * {SPREAD}, {values} from generate_series(1, {ROWS}) i".encode())
        with psycopg.connect(target_db, autocommit=True) as target:
            target.execute(f"create table slots (id uuid primary key, legacy_id bigint unique, {table})".encode())
            if "deleted_at" in str(policy):
                target.execute("alter table slots add deleted_at timestamptz")
            target.execute(rule.encode())
        found = catalog(columns, **policy)
        world = EngineWorld(found, legacy_db, install(target_db, "only-for-tests", found))
        run(world, "first")
        return world

    return made


@pytest.fixture
def legacy(legacy_db: str) -> Query:
    return _runner(legacy_db)


@pytest.fixture
def target(target_db: str) -> Query:
    return _runner(target_db)


def _runner(dsn: str) -> Query:
    def ask(query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    return ask


def rotate(legacy: Query, columns: str) -> None:
    """Each row gets the values of the next one, the last those of the first."""
    legacy(
        f"update slot s set ({columns}) = (select {columns} from slot o"
        f" where o.id = s.id % ({ROWS} * {SPREAD}) + {SPREAD})"
    )


def rows(query: Query, table: str, key: str, columns: str) -> list[tuple[Any, ...]]:
    return query(f"select {key}, {columns} from {table} where {key} is not null order by 1")


def same(legacy: Query, target: Query, columns: str) -> bool:
    return rows(legacy, "slot", "id", columns) == rows(target, "slots", "legacy_id", columns)


def failed(target: Query) -> list[tuple[Any, ...]]:
    return target("select key[1], reason from hybrid_sync.failed_record where status <> 'resolved' order by 1")


def undo(world: EngineWorld, run_id: str) -> dict[str, int]:
    done = rollback_run(world, RollbackTask(run_id=run_id))
    assert not done.more
    return done.undone.conflicts


SHAPES = {
    "an integer": ("slot int not null", "i", "alter table slots add unique (slot)", "slot"),
    "a nullable integer": ("slot int", "i", "alter table slots add unique (slot)", "slot"),
    "a positive integer": ("slot int not null check (slot > 0)", "i", "create unique index on slots (slot)", "slot"),
    "a number without an end": ("slot numeric not null", "i + 0.5", "create unique index on slots (slot)", "slot"),
    "a text by its lower case": (
        "mail text not null", "'Ann' || i || '@Example.org'", "create unique index on slots (lower(mail))", "mail"
    ),
    "a code of two letters": (
        "code text not null check (code ~ '^[A-Z]{2}$')", "chr(65 + i / 20) || chr(65 + i % 20)",
        "create unique index on slots (code)", "code",
    ),
    "a pair": (
        "room int not null, place boolean not null", "i / 2, i % 2 = 0", "create unique index on slots (room, place)",
        "room, place",
    ),
    "a part of the rows": (
        "slot int not null, live boolean not null", "i, i % 3 > 0", "create unique index on slots (slot) where live",
        "slot, live",
    ),
    "a flag that moves": (
        "owner int not null, main boolean not null", "i / 4, i % 4 = 0",
        "create unique index on slots (owner) where main", "main",
    ),
    "nulls that are equal": (
        "room int, place int not null", "nullif(i / 4, 3), i % 4",
        "alter table slots add unique nulls not distinct (room, place)", "room, place",
    ),
    "an enum that can wait": (
        "state text not null check (state ~ '^[a-z]+$' and length(state) < 9), slot int not null",
        "'s' || translate(lpad(i::text, 2, '0'), '0123456789', 'abcdefghij'), i",
        "alter table slots add unique (state) deferrable, add check (state < 't')", "state, slot",
    ),
    "a column that the table computes": (
        "mail text not null", "'Ann' || i",
        "alter table slots add folded text generated always as (lower(mail)) stored unique", "mail",
    ),
    "a period": (
        "since date not null, till date not null", "date '2020-01-01' + i * 10, date '2020-01-01' + i * 10 + 10",
        "alter table slots add constraint apart exclude using gist (daterange(since, till) with &&)", "since, till",
    ),
    "a period that can wait": (
        "since date not null, till date not null", "date '2020-01-01' + i * 10, date '2020-01-01' + i * 10 + 10",
        "alter table slots add exclude using gist (daterange(since, till) with &&) deferrable", "since, till",
    ),
    "two rules at once": (
        "slot int not null, mail text not null", "i, 'Ann' || i",
        "alter table slots add unique (slot), add unique (mail)", "slot, mail",
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda name: name.replace(" ", "-"))
def test_a_ring_over_all_batches_is_right_after_one_run_and_back_after_its_undo(
    make: World, legacy: Query, target: Query, shape: str
) -> None:
    table, values, rule, columns = SHAPES[shape]
    world = make(table, values, rule)
    before = rows(target, "slots", "legacy_id", columns)
    rotate(legacy, columns)
    done = run(world, "second", batch_size=1)
    assert (failed(target), same(legacy, target, columns), done.outcome.status) == ([], True, "succeeded")
    assert undo(world, "second") == {}
    assert rows(target, "slots", "legacy_id", columns) == before


def slots(make: World, **policy: Any) -> EngineWorld:
    return make("slot int not null", "i", "alter table slots add constraint one unique (slot)", **policy)


def test_each_row_is_journalled_once_with_what_stood_there(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    run(world, "second", batch_size=1)
    assert target(
        f"select count(*), bool_and((before->>'slot')::int * 500 = keys[1]) from {CHANGES.as_string()} j"
        " where run_id = 'second'"
    ) == [(ROWS, True)]


def test_a_true_duplicate_stays_and_takes_nobody_with_it(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    legacy("insert into slot values (100000, 7), (100500, 7)")
    run(world, "second", batch_size=1)
    assert failed(target) == [(100000, "unique_violation"), (100500, "unique_violation")]
    assert target("select count(*) from slots where slot = legacy_id / 500 % 12 + 1") == [(ROWS,)]


def test_a_row_that_cannot_move_stays_with_those_that_wait_for_it(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    target("insert into slots (id, slot) values (gen_random_uuid(), 1000)")
    rotate(legacy, "slot")
    legacy("update slot set slot = 1000 where id = 2500; update slot set slot = 6 where id = 6000")
    run(world, "second", batch_size=1)
    # 2500 wants a native row's value and keeps 5; 2000 wants 5 and keeps 4, and so on down to the end of the ring.
    assert failed(target) == [(i * 500, "unique_violation") for i in range(1, 6)]
    assert target("select slot from slots where legacy_id >= 3000 order by legacy_id") == [
        (7,), (8,), (9,), (10,), (11,), (12,), (6,)
    ]  # fmt: skip


def test_new_rows_take_what_old_ones_of_other_batches_give_up(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    legacy("update slot set slot = slot + 6")
    legacy("insert into slot select -i * 500, i from generate_series(1, 6) i")
    run(world, "second", batch_size=1)
    assert (failed(target), same(legacy, target, "slot")) == ([], True)
    assert undo(world, "second") == {}
    assert target("select count(*) from slots where slot = legacy_id / 500") == [(ROWS,)]


@pytest.mark.parametrize("profile", ["weekly", "daily"])
def test_a_value_that_a_delete_of_the_run_frees_is_taken_in_the_run(
    make: World, legacy: Query, target: Query, profile: str
) -> None:
    world = slots(make, policy="hard")
    legacy("delete from slot where id = 500; insert into slot values (90000, 1)")
    legacy("update slot set slot = 100 where id = 1000; update slot set slot = 2 where id = 90000")
    legacy("insert into slot values (90500, 1)")
    run(world, "second", profile=profile, batch_size=1)
    assert (failed(target), same(legacy, target, "slot")) == ([], True)
    assert undo(world, "second") == {}
    assert target("select count(*) from slots where slot = legacy_id / 500") == [(ROWS,)]


def test_a_request_for_a_row_takes_along_what_holds_its_value(make: World, legacy: Query, target: Query) -> None:
    world = slots(make, policy="hard")
    legacy("update slot set slot = 13 - slot where id in (500, 6000)")
    legacy("delete from slot where id = 2500; update slot set slot = 5 where id = 3000")
    refs = tuple(Ref(entity="slots", legacy_id=key) for key in (500, 3000))
    run(world, "second", profile="on_demand", refs=refs)
    assert failed(target) == []
    assert same(legacy, target, "slot")


def test_a_marked_row_keeps_its_value_unless_the_index_leaves_it_out(make: World, legacy: Query, target: Query) -> None:
    world = slots(make, policy="soft", set={"deleted_at": "now()"})
    legacy("delete from slot where id = 500; insert into slot values (90000, 1)")
    done = run(world, "second", batch_size=1)
    assert failed(target) == [(90000, "unique_violation")]
    assert "partial unique index" in str(done.outcome.summary) + str(world.reports.documents["second"])
    target("alter table slots drop constraint one; create unique index on slots (slot) where deleted_at is null")
    run(world, "third", batch_size=1)
    assert failed(target) == []


def test_more_rows_than_one_transaction_moves_are_a_named_failure(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    with armed({"settle.chosen": Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", batch_size=1)
    task = SettleTask(run_id="second", entity="slots")
    with pytest.raises(TooManyMovedValues, match="12 rows of slots want unique values"):
        settle_uniques(world, task, most=ROWS - 1)
    assert settle_uniques(world, task, most=ROWS).settled == ROWS
    assert same(legacy, target, "slot")


POINTS = ("settle.locked", "settle.staged", "settle.written", "settle.before_commit", "settle.committed")


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_leaves_all_or_nothing_and_a_repeat_ends_it(
    make: World, legacy: Query, target: Query, point: str
) -> None:
    world = slots(make)
    before = rows(target, "slots", "legacy_id", "slot")
    rotate(legacy, "slot")
    with armed({point: Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", batch_size=1)
    assert rows(target, "slots", "legacy_id", "slot") == before or same(legacy, target, "slot")
    for _ in range(2):
        settle_uniques(world, SettleTask(run_id="second", entity="slots"))
    assert (failed(target), same(legacy, target, "slot")) == ([], True)
    assert target(f"select count(*) from {CHANGES.as_string()} j where run_id = 'second'") == [(ROWS,)]


def test_legacy_is_not_connected_to_where_nothing_is_to_settle(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    with armed({"settle.committed": Raise()}), pytest.raises(FailpointRaised):
        run(world, "second", batch_size=1)
    world.pool.close()
    world.legacy_dsn = make_conninfo(world.legacy_dsn, port=1)
    assert settle_uniques(world, SettleTask(run_id="second", entity="slots")).settled == 0


class Once:
    """Does something at a failpoint."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def fire(self, name: str, connections: object) -> None:
        self._act()


def test_rows_are_locked_before_they_are_read_again(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    free: list[Any] = []
    look = Once(lambda: free.extend(target("select n from hybrid_sync.bucket for update skip locked")))
    with armed({"settle.locked": look}) as points:
        run(world, "second", batch_size=1)
    assert points.fired == {"settle.locked": 1}
    assert free == []


def test_all_rows_are_read_from_one_moment_of_legacy(
    make: World, legacy: Query, target: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    monkeypatch.setattr("hybrid_sync.steps.settle_entity._PAGE", 1)
    with armed({"settle.page": Once(lambda: rotate(legacy, "slot"))}):
        run(world, "second", profile="daily", batch_size=1)
    assert failed(target) == []
    assert target("select count(*) from slots where slot = legacy_id / 500 % 12 + 1") == [(ROWS,)]


def test_what_a_trigger_would_keep_parked_is_not_written(make: World, legacy: Query, target: Query) -> None:
    world = make("slot int, name text", "i, 'n' || i", "alter table slots add unique (slot)")
    target(
        "create function stay() returns trigger language plpgsql as"
        " $$ begin if old.slot is null and old.name = 'n7' then new.slot := null; end if; return new; end $$;"
        " create trigger stay before update on slots for each row execute function stay()"
    )
    rotate(legacy, "slot")
    run(world, "second", batch_size=1)
    assert target("select count(*) from slots where slot is null") == [(0,)]
    assert [key for key, _ in failed(target)] == [i * 500 for i in range(1, ROWS + 1)]


def test_settling_counts_for_no_missing_batch(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    run(world, "second", batch_size=1)
    assert target("select count(*) from hybrid_sync.batch_done where run_id = 'second' and step = 'settle'") == [(1,)]
    with world.connect_target() as connection:
        assert batches_done(connection, "second", "slots") == ROWS
    assert world.reports.documents["second"]["entities"][0]["batches_done"] == ROWS


def test_what_a_reconcile_heals_can_have_exchanged_values_too(make: World, legacy: Query, target: Query) -> None:
    world = slots(make)
    rotate(legacy, "slot")
    legacy("vacuum full freeze slot")  # as after a restore: no fence sees these changes
    run(world, "second", profile="daily")
    run(world, "third", profile="weekly", batch_size=1)
    assert (failed(target), same(legacy, target, "slot")) == ([], True)
