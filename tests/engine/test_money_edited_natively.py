"""Money agrees to the cent row by row: edits of the target that cancel each other out in every sum are no agreement."""

from __future__ import annotations

import psycopg
import pytest

from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

MONEY = [{"column": "amt", "currency": "cur", "status": "state", "headline": True}]
COLUMNS = "amt numeric(12, 2), cur text, state text, note text"


@pytest.fixture
def paid(legacy_db: str, target_db: str) -> EngineWorld:
    world = small_world(
        legacy_db, target_db,
        f"create table a (id int primary key, {COLUMNS});"
        "insert into a values (1, 10, 'USD', 'paid', 'x'), (2, 10, 'USD', 'open', 'y'), (3, 30, 'EUR', 'paid', 'z'),"
        " (4, 12, 'USD', 'paid', 'x'), (5, 30, 'USD', 'paid', 'y')",
        f"create table a (id uuid primary key, legacy_id bigint unique, {COLUMNS})",
        entity(columns={name: f"a.{name}" for name in ("amt", "cur", "state", "note")}, money=MONEY),
    )  # fmt: skip
    assert run(world, "first", profile="weekly").outcome.status == "succeeded"
    return world


def edited(target_db: str, statement: str) -> None:
    with psycopg.connect(target_db, autocommit=True) as person:
        person.execute(statement.encode())


CANCELLING = {
    "amounts": "update a set amt = 11 where legacy_id in (1, 4)",
    "statuses": "update a set state = case state when 'paid' then 'open' else 'paid' end where amt = 10",
    "currencies": "update a set cur = case cur when 'USD' then 'EUR' else 'USD' end where amt = 30",
}


@pytest.mark.parametrize("how", CANCELLING)
@pytest.mark.parametrize("profile", ["weekly", "verify"])
def test_edits_that_cancel_each_other_fail_the_run_until_they_are_settled(
    paid: EngineWorld, target_db: str, how: str, profile: str
) -> None:
    edited(target_db, CANCELLING[how])
    assert run(paid, "second", profile=profile).outcome.status == "failed"
    assert run(paid, "third", profile=profile).outcome.status == "failed", "as long as they stand"
    assert run(paid, "fourth", profile="verify", repair=True).outcome.status == "succeeded"
    assert run(paid, "fifth", profile=profile).outcome.status == "succeeded"


def test_an_edit_of_what_is_no_money_is_named_and_lets_the_run_succeed(paid: EngineWorld, target_db: str) -> None:
    edited(target_db, "update a set note = 'mine' where legacy_id = 1")
    assert run(paid, "second", profile="weekly").outcome.status == "succeeded"
