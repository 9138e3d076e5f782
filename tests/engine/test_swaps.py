"""Rows that exchange unique values all arrive; where one cannot, only it and those that want its value fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import EntityTask, Profile, RollbackTask, RunRequest
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_batch import sync_batch
from hybrid_sync.write.journal import CHANGES
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

COLUMNS = ("email", "code", "room", "place", "plan", "born", "tag")

CATALOG = Catalog(
    {
        "seats": Entity.model_validate(
            {
                "entity": "seats",
                "target": "seats",
                "sources": {
                    "seat": {"from": "seat s", "key": {"legacy_id": "s.id"}, "columns": {c: f"s.{c}" for c in COLUMNS}}
                },
            }
        )
    }
)
TABLE = """
  email text not null, code int not null, room int not null, place smallint not null, plan text, born date not null,
  tag varchar(8) not null
"""


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute(f"create table seat (id serial primary key, {TABLE})".encode())
        legacy.execute(
            "insert into seat (email, code, room, place, plan, born, tag) select 'p' || i || '@example.org', i, i / 4,"
            " (i % 4)::smallint, 'plan ' || i, date '2000-01-01' + i, 't' || i from generate_series(1, 40) i"
        )
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute(f"create table seats (id uuid primary key, legacy_id bigint unique, {TABLE})".encode())
    world = EngineWorld(CATALOG, legacy_db, install(target_db, "only-for-tests", CATALOG))
    run(world, "first")
    return world


def same(legacy: Query, target: Query) -> bool:
    columns = ", ".join(COLUMNS)
    return legacy(f"select id, {columns} from seat order by id") == target(
        f"select legacy_id, {columns} from seats where legacy_id is not null order by legacy_id"
    )


def failed(target: Query) -> list[tuple[Any, ...]]:
    return target(
        "select key[1], reason, constraint_name from hybrid_sync.failed_record where status <> 'resolved' order by 1"
    )


UNIQUE: dict[str, tuple[str, str]] = {
    "an expression under a condition": (
        "create unique index u on seats (lower(email)) where plan is distinct from 'gone'",
        "email",
    ),
    "a text with a format": (
        "alter table seats add constraint u unique (email), add check (email ~ '^[^@]+@[^@]+$')",
        "email",
    ),
    "a short text": ("alter table seats add constraint u unique (tag)", "tag"),
    "an integer": ("alter table seats add constraint u unique (code)", "code"),
    "several columns": ("alter table seats add constraint u unique (room, place)", "room, place"),
    "a nullable text": ("alter table seats add constraint u unique (plan)", "plan"),
    "nulls not distinct": ("alter table seats add constraint u unique nulls not distinct (plan)", "plan"),
    "a date": ("alter table seats add constraint u unique (born)", "born"),
    "an expression": ("create unique index u on seats (lower(email))", "email"),
    "a condition": ("create unique index u on seats (email) where plan is not null", "email"),
    "a deferrable one": ("alter table seats add constraint u unique (email) deferrable initially deferred", "email"),
}  # fmt: skip


@pytest.fixture(params=UNIQUE, ids=lambda name: name.replace(" ", "-"))
def column(request: pytest.FixtureRequest, world: EngineWorld, target: Query) -> str:
    ddl, columns = UNIQUE[request.param]
    target(ddl)
    return columns


def rotate(legacy: Query, columns: str, first: int, last: int, by: int) -> None:
    """Each row of [first, last] gets the values of the one `by` places on, in a ring."""
    legacy(
        f"update seat s set ({columns}) = (select {columns} from seat o where o.id ="
        f" {first} + (s.id - {first} + {by}) % ({last} - {first} + 1)) where id between {first} and {last}"
    )


def test_two_rows_swap(world: EngineWorld, legacy: Query, target: Query, column: str) -> None:
    rotate(legacy, column, 3, 4, 1)
    run(world, "second")
    assert (failed(target), same(legacy, target)) == ([], True)
    assert target(f"select count(*) from {CHANGES.as_string()} j where run_id = 'second' and operation = 'update'") == [
        (2,)
    ]


def test_rings_and_chains_of_many(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("alter table seats add unique (email), add unique (code), add unique (room, place)")
    rotate(legacy, "email", 1, 10, 1)
    rotate(legacy, "email", 11, 20, 9)
    rotate(legacy, "code", 5, 25, 7)
    rotate(legacy, "room, place", 8, 40, 32)
    legacy("update seat set email = 'moved-on@example.org' where id = 30")
    legacy("update seat set email = 'p' || id + 1 || '@example.org' where id between 25 and 29")
    run(world, "second")
    assert (failed(target), same(legacy, target)) == ([], True)


def test_a_new_row_takes_a_value_that_an_old_one_gives_up(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("alter table seats add unique (email)")
    legacy("update seat set email = 'moved-on@example.org' where id = 40")
    legacy(
        "insert into seat (email, code, room, place, plan, born, tag)"
        " select 'p40@example.org', 41, 41, place, plan, born + 1, 't41' from seat where id = 40"
    )
    run(world, "second")
    assert (failed(target), same(legacy, target)) == ([], True)


def test_only_the_row_that_collides_with_a_stranger_fails(world: EngineWorld, legacy: Query, target: Query) -> None:
    target("alter table seats add constraint one_email unique (email)")
    target(
        "insert into seats (id, email, code, room, place, born, tag)"
        " values (gen_random_uuid(), 'native@example.org', 99, 99, 1, '2000-01-01', 't99')"
    )
    rotate(legacy, "email", 1, 6, 1)
    legacy("update seat set email = 'native@example.org' where id = 20")
    run(world, "second")
    assert failed(target) == [(20, "unique_violation", "one_email")]
    assert target("select email from seats where legacy_id = 20") == [("p20@example.org",)]
    assert target("select legacy_id, email from seats where legacy_id <= 6 order by 1") == [
        (i, f"p{i % 6 + 1}@example.org") for i in range(1, 7)
    ]


def test_a_row_that_stays_keeps_its_value_and_those_that_want_it_fail_with_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table seats add constraint one_email unique (email), add constraint positive check (code > 0)")
    rotate(legacy, "email", 1, 3, 1)
    rotate(legacy, "email", 11, 13, 1)
    legacy("update seat set code = -2 where id = 2")
    run(world, "second")
    assert failed(target) == [
        (1, "unique_violation", "one_email"), (2, "check_violation", "positive"), (3, "unique_violation", "one_email"),
    ]  # fmt: skip
    kept = target("select legacy_id, email from seats where legacy_id <= 3 order by 1")
    assert kept == [(i, f"p{i}@example.org") for i in (1, 2, 3)]
    moved = target("select email from seats where legacy_id between 11 and 13 order by legacy_id")
    assert moved == [("p12@example.org",), ("p13@example.org",), ("p11@example.org",)]


def test_the_before_image_of_a_parked_row_is_what_stood_there_and_not_where_it_was_parked(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table seats add unique (email)")
    before: Callable[[], list[tuple[Any, ...]]] = lambda: target("select legacy_id, email from seats order by 1")  # noqa: E731
    old = before()
    rotate(legacy, "email", 1, 40, 1)
    run(world, "second")
    journalled = target(
        f"select j.keys[1], j.before ->> 'email' from {CHANGES.as_string()} j join seats s on s.id = j.id"
        " where run_id = 'second' and j.xid::text = s.xmin::text order by 1"
    )
    assert journalled == old
    assert before() != old


def test_a_swap_across_batches_arrives_with_the_retry_of_either(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table seats add unique (email)")
    legacy(
        "insert into seat (id, email, code, room, place, plan, born, tag) select 5000, 'far@example.org', 5000, 5000,"
        " place, plan, born, 't5000' from seat where id = 1"
    )
    run(world, "second")
    legacy("update seat s set email = (select email from seat o where o.id = 5001 - s.id) where id in (1, 5000)")
    request = RunRequest(run_id="third", profile=Profile.daily, batch_size=1)
    plan_run(world, request)
    plan_entity(world, EntityTask(run_id="third", entity="seats"))
    for batch in world.manifests.read("third", "seats") or []:
        sync_batch(world, batch)
    assert [(key, reason) for key, reason, _ in failed(target)] == [(1, "unique_violation"), (5000, "unique_violation")]
    retry_failure(world, world.failure_queue.messages[-1])
    assert (failed(target), same(legacy, target)) == ([], True)


def test_rows_that_were_written_before_others_had_to_move_are_journalled_as_well(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table seats add constraint one_email unique (email), add constraint positive check (code > 0)")
    # Refused from either end first, so that the batch is isolated for them and not for the unique values.
    legacy("update seat set code = -id where id <= 9 or id > 31")
    rotate(legacy, "email", 11, 13, 1)
    legacy("update seat set plan = 'another' where id = 30")
    run(world, "second")
    assert {reason for _, reason, _ in failed(target)} == {"check_violation"}
    journalled = target(f"select distinct keys[1] from {CHANGES.as_string()} j where run_id = 'second' order by 1")
    assert journalled == [(11,), (12,), (13,), (30,)]


def test_values_that_two_sources_exchanged_go_back_together(
    world: EngineWorld, legacy: Query, target: Query, target_db: str
) -> None:
    legacy("create table stall as select id, email, code from seat; update stall set code = code + 100")
    target("create table places (id uuid primary key, kind text, legacy_id bigint, code int not null unique,"
           " unique (kind, legacy_id))")  # fmt: skip
    sources = {
        table: {
            "from": f"{table} s", "key": {"legacy_id": "s.id"}, "discriminator": {"kind": table},
            "columns": {"code": "s.code"},
        }
        for table in ("seat", "stall")
    }  # fmt: skip
    world.catalog = Catalog(
        {"places": Entity.model_validate({"entity": "places", "target": "places", "sources": sources})}
    )
    install(target_db, "only-for-tests", world.catalog)
    run(world, "third")
    before = target("select kind, legacy_id, code from places order by 1, 2")
    legacy("update seat set code = id + 100; update stall set code = id")
    legacy("insert into seat select 41, email, 141, room, place, plan, born, tag from seat where id = 40")
    assert run(world, "fourth").outcome.status == "succeeded"
    assert target("select count(*) from places where code = legacy_id + case kind when 'seat' then 100 else 0 end") == [
        (81,)
    ]
    assert rollback_run(world, RollbackTask(run_id="fourth")).undone.conflicts == {}
    assert target("select kind, legacy_id, code from places order by 1, 2") == before
