"""Money is decimal on both sides, finite, and summed as what legacy has."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.errors import StructureMismatch
from tests.engine.small import compiled, entity, small_world
from tests.engine.worlds import EngineWorld, run

MONEY = [{"column": "amt", "currency": "cur", "headline": True}]


def world_of(legacy_db: str, target_db: str, legacy: str, target: str, values: str, column: object) -> EngineWorld:
    return small_world(
        legacy_db, target_db,
        f"create table a (id int primary key, amt {legacy}, cur text); insert into a values {values}",
        f"create table a (id uuid primary key, legacy_id bigint unique, amt {target}, cur text)",
        _entity(column),
    )  # fmt: skip


def _entity(column: object) -> dict[str, Any]:
    return entity(columns={"amt": column, "cur": "a.cur"}, money=MONEY)


def failed(target_db: str) -> list[tuple[int, str]]:
    with psycopg.connect(target_db) as target:
        return target.execute("select key[1], reason from hybrid_sync.failed_record order by 1").fetchall()


@pytest.mark.parametrize("kind", ["numeric", "numeric(12,2)"])
def test_infinity_is_a_failed_record_and_not_an_amount(legacy_db: str, target_db: str, kind: str) -> None:
    values = "(1, 10.10, 'USD'), (2, 'Infinity', 'USD'), (3, '-Infinity', 'USD'), (4, 'NaN', 'USD')"
    world = world_of(legacy_db, target_db, "numeric", kind, values, "a.amt")
    assert run(world, "r", profile="weekly").verdicts["a"]
    assert failed(target_db) == [(n, "numeric_out_of_range") for n in (2, 3, 4)]
    with psycopg.connect(target_db) as target:
        assert target.execute("select legacy_id, amt::text from a").fetchall() == [(1, "10.10")]


@pytest.mark.parametrize(
    ("legacy", "target"),
    [("int", "int"), ("bigint", "numeric(12,0)"), ("numeric", "numeric"), ("numeric(8,2)", "numeric")],
)  # fmt: skip
def test_decimal_columns_of_any_kind_are_money(legacy_db: str, target_db: str, legacy: str, target: str) -> None:
    world = world_of(legacy_db, target_db, legacy, target, "(1, 10, 'USD'), (2, 5, 'USD')", "a.amt")
    assert run(world, "r", profile="weekly").outcome.status == "succeeded"


def test_a_double_is_no_money_unless_it_is_cast_row_by_row(legacy_db: str, target_db: str) -> None:
    values = "(1, 0.1, 'USD'), (2, 0.2, 'USD'), (3, 0.1::float8 + 0.2::float8, 'USD'), (4, 'NaN', 'USD')"
    world = world_of(legacy_db, target_db, "double precision", "numeric(12,2)", values, "a.amt")
    with pytest.raises(StructureMismatch, match=r"money needs a decimal number.*`cast: a\.amt`"):
        compiled(world)
    world.catalog = Catalog({"a": Entity.model_validate(_entity({"cast": "a.amt"}))})
    run(world, "r", profile="weekly")
    assert failed(target_db) == [(3, "numeric_scale"), (4, "numeric_out_of_range")]
    with psycopg.connect(target_db) as target:
        assert target.execute("select legacy_id, amt::text from a order by 1").fetchall() == [(1, "0.10"), (2, "0.20")]


@pytest.mark.parametrize("kind", ["double precision", "real", "text", "money"])
def test_a_column_of_the_target_that_is_not_decimal_holds_no_money(legacy_db: str, target_db: str, kind: str) -> None:
    world = world_of(legacy_db, target_db, "numeric(12,2)", kind, "(1, 1, 'USD')", {"cast": "a.amt"})
    with pytest.raises(StructureMismatch, match="numeric with a scale"):
        compiled(world)


@pytest.mark.parametrize("kind", ["money", "text"])
def test_a_column_of_legacy_that_is_not_decimal_holds_no_money(legacy_db: str, target_db: str, kind: str) -> None:
    world = world_of(legacy_db, target_db, kind, "numeric(12,2)", "(1, '1', 'USD')", "a.amt")
    with pytest.raises(StructureMismatch, match="::numeric"):
        compiled(world)


def test_amounts_of_one_row_travel_together_and_are_added_up_apart(legacy_db: str, target_db: str) -> None:
    values = "(1, 10.10, 'USD', null), (2, 5, 'USD', 0.5), (3, null, 'EUR', null), (4, -1, 'EUR', 7)"
    money = [*MONEY, {"column": "fee", "currency": "cur"}]
    world = small_world(
        legacy_db, target_db,
        f"create table a (id int primary key, amt numeric, cur text, fee numeric); insert into a values {values}",
        "create table a (id uuid primary key, legacy_id bigint unique, amt numeric, cur text, fee numeric)",
        entity(columns={"amt": "a.amt", "cur": "a.cur", "fee": "a.fee"}, money=money),
    )  # fmt: skip
    assert run(world, "r").outcome.status == "succeeded"
    with psycopg.connect(target_db) as target:
        told = target.execute(
            "select m->>'column', m->>'currency', (m->>'legacy')::numeric, (m->>'equal')::boolean"
            " from hybrid_sync.run_entity, jsonb_array_elements(money) m order by 1, 2"
        ).fetchall()
    assert [(column, currency, str(amount), equal) for column, currency, amount, equal in told] == [
        ("amt", "EUR", "-1", True), ("amt", "USD", "15.10", True),
        ("fee", "EUR", "7", True), ("fee", "USD", "0.5", True),
    ]  # fmt: skip


@pytest.mark.parametrize("profile", ["daily", "weekly"])
def test_amounts_whose_sum_no_number_can_hold_cost_their_entity_and_are_told(
    legacy_db: str, target_db: str, profile: str
) -> None:
    world = world_of(legacy_db, target_db, "numeric", "numeric", "(1, 5, 'USD'), (2, 6, 'USD')", "a.amt")
    run(world, "first")
    with psycopg.connect(legacy_db) as legacy:
        legacy.execute("update a set amt = repeat('9', 131072)::numeric")
    done = run(world, "second", profile=profile)
    assert done.outcome.status == "failed"
    with psycopg.connect(target_db) as target:
        causes = target.execute("select cause from hybrid_sync.run_failure where run_id = 'second'").fetchall()
    assert [cause for (cause,) in causes if "cannot add up an amount of money (22003)" in cause]
    assert not [cause for (cause,) in causes if "unexpected" in cause]
