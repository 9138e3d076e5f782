"""Rows whose unique values may move settle together behind their batches; nobody asks where only keys are unique."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import EntityTask, RunRequest
from hybrid_sync.schema.install import install
from hybrid_sync.schema.target_structure import read_table
from hybrid_sync.steps.plan_entity import plan_entity
from hybrid_sync.steps.plan_run import plan_run
from tests.engine.worlds import EngineWorld, run

ENTITY: dict[str, Any] = {
    "entity": "slots", "target": "slots",
    "sources": {
        "slot": {
            "from": "slot s", "key": {"legacy_id": "s.id"}, "discriminator": {"origin": "slot"},
            "columns": {"name": "s.name", "room": "s.room"},
        }
    },
}  # fmt: skip
TABLE = "create table slots (id uuid primary key, legacy_id bigint, origin text, name text, room int, {})"
PLAIN = "unique (legacy_id, origin)"
TRIGGER = """
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch {} on slots for each row execute function touch();
"""


def catalog() -> Catalog:
    return Catalog({"slots": Entity.model_validate(ENTITY)})


@pytest.mark.parametrize(
    ("more", "besides", "moves"),
    [
        (PLAIN, "create index on slots (name)", False),
        (PLAIN, "create unique index on slots (origin, legacy_id, id)", False),
        (PLAIN + ", unique (name)", "", True),
        (PLAIN + ", unique (legacy_id, name)", "", True),
        (PLAIN, "create unique index on slots (room) where room > 0", True),
        (PLAIN, "create unique index on slots (legacy_id) where room > 0", True),
        (PLAIN, "create unique index on slots (lower(name))", True),
        (PLAIN + ", exclude (room with =)", "", True),
        (PLAIN, TRIGGER.format("before insert"), True),
        (PLAIN, TRIGGER.format("after update"), True),
    ],
)
def test_values_may_move_where_more_than_ids_and_keys_is_unique(
    target_db: str, more: str, besides: str, *, moves: bool
) -> None:
    with psycopg.connect(target_db) as target:
        target.execute(f"{TABLE.format(more)}; {besides}".encode())
        assert read_table(target, catalog()["slots"]).values_move is moves


def test_values_may_move_where_a_partition_alone_has_more(target_db: str) -> None:
    with psycopg.connect(target_db) as target:
        target.execute(
            "create table slots (id uuid, legacy_id bigint, origin text, name text, room int,"
            " unique (legacy_id, origin), primary key (id, legacy_id)) partition by range (legacy_id);"
            " create table low partition of slots for values from (0) to (1000)"
        )
        entity = catalog()["slots"]
        assert read_table(target, entity).values_move is False
        target.execute("create unique index on low (name)")
        assert read_table(target, entity).values_move is True


def test_a_first_load_settles_and_a_days_changes_only_where_values_may_move(legacy_db: str, target_db: str) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute("create table slot (id int primary key, name text, room int)")
        legacy.execute("insert into slot select i, 'n' || i, i from generate_series(1, 5) i")
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute(TABLE.format(PLAIN).encode())
    world = EngineWorld(catalog(), legacy_db, install(target_db, "only-for-tests", catalog()))

    def settles(run_id: str) -> bool:
        with psycopg.connect(legacy_db, autocommit=True) as legacy:
            legacy.execute("update slot set room = room + 1")
        plan_run(world, RunRequest(run_id=run_id, profile="daily"))
        planned = plan_entity(world, EntityTask(run_id=run_id, entity="slots"))
        assert planned.batches == 1
        return planned.settles

    assert settles("first") is True
    run(world, "whole")
    assert settles("second") is False
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("create unique index on slots (room)")
    assert settles("third") is True
