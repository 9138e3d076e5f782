"""A row that an inner join of the catalog loses is missing, also where only its key is asked for."""

from __future__ import annotations

import psycopg

from hybrid_sync.contracts import Ref
from tests.engine.small import small_world
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table office (id int primary key, country text not null);
create table payment (id int primary key, office_id int not null, price numeric(10,2) not null);
insert into office values (1, 'US');
insert into payment values (1, 1, 10), (2, 1, 20), (3, 9, 30);
"""
TARGET = """
create table payments (
  id uuid primary key, legacy_id bigint unique, price numeric(10,2) not null, country text not null);
"""
PAYMENTS = {
    "entity": "payments", "target": "payments",
    "sources": {"payment": {
        "from": "payment p", "joins": ["join office o on o.id = p.office_id"], "key": {"legacy_id": "p.id"},
        "columns": {"price": "p.price", "country": "o.country"},
    }},
}  # fmt: skip


def asked(world: EngineWorld, *keys: int) -> str:
    refs = tuple(Ref(entity="payments", legacy_id=key) for key in keys)
    return run(world, f"asked-{'-'.join(map(str, keys))}", profile="on_demand", refs=refs).outcome.status


def test_a_row_that_a_join_loses_is_not_called_well(legacy_db: str, target_db: str) -> None:
    world = small_world(legacy_db, target_db, LEGACY, TARGET, PAYMENTS)
    assert asked(world, 1) == "succeeded"
    assert asked(world, 2, 3) == "failed"
    with psycopg.connect(legacy_db) as legacy:
        legacy.execute("insert into office values (9, 'JP')")
    assert asked(world, 3, 1) == "succeeded"
