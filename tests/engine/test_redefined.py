"""Definitions that are changed between two runs and touch no row, although every row says another thing then."""

from __future__ import annotations

import pytest

from tests.engine.conftest import Query
from tests.engine.small import compiled, entity, small_world
from tests.engine.worlds import EngineWorld, run

KINDS = "select legacy_id, kind::text from people order by 1"


def test_labels_of_the_target_that_change_places_are_set_right_by_a_daily_run(
    world: EngineWorld, target: Query
) -> None:
    run(world, "first")
    before = target(KINDS)
    for was, becomes in (("doctor", "x"), ("nurse", "doctor"), ("x", "nurse")):
        target(f"alter type person_kind rename value '{was}' to '{becomes}'")
    assert target(KINDS) != before
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target(KINDS) == before
    run(world, "third", profile="daily")
    assert target("select distinct detection from hybrid_sync.run_entity where run_id = 'third'") == [("fence",)]


BODIES = {
    "sql": ("language sql immutable as $$ select {} || v $$"),
    "plpgsql": ("language plpgsql immutable as $$ begin return {} || v; end $$"),
    "of a function": ("language sql immutable as $$ select public.first_part() || v $$"),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_function_of_legacy_that_becomes_another_is_read_by_a_daily_run(
    legacy_db: str, target_db: str, body: str
) -> None:
    def made(prefix: str) -> str:
        return (
            f"create or replace function public.first_part() returns text language sql immutable as"
            f" $$ select '{prefix}' $$;"
            f"create or replace function public.named(v text) returns text {BODIES[body].format(repr(prefix))};"
        )

    world = small_world(
        legacy_db, target_db,
        made("Mr ") + "create table a (id int primary key, v text); insert into a values (1, 'x'), (2, 'y')",
        "create table a (id uuid primary key, legacy_id bigint unique, v text)",
        entity(columns={"v": "public.named(a.v)"}),
    )  # fmt: skip
    assert run(world, "first", profile="weekly").outcome.status == "succeeded"
    with world.connect_legacy() as legacy:
        legacy.execute(made("Dr ").encode())
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    with world.connect_target() as target:
        assert target.execute("select v from public.a order by 1").fetchall() == [("Dr x",), ("Dr y",)]
    run(world, "third", profile="daily")
    with world.connect_target() as target:
        assert target.execute("select detection from hybrid_sync.run_entity where run_id = 'third'").fetchall() == [
            ("fence",)
        ]


def test_a_function_that_may_depend_on_more_than_its_arguments_is_told(legacy_db: str, target_db: str) -> None:
    world = small_world(
        legacy_db, target_db,
        "create function public.\"N\"(v text) returns text language plpgsql stable as $$ begin return v; end $$;"
        "create table a (id int primary key, v text)",
        "create table a (id uuid primary key, legacy_id bigint unique, v text)",
        entity(columns={"v": 'public."N" (lower(a.v))'}),
    )  # fmt: skip
    [warning] = compiled(world).warnings
    assert "function public.N, which is not declared IMMUTABLE" in warning
