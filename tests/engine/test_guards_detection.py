"""Changes that another row makes are changes of the row that counts it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.schema.install import install
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def entity(**source: Any) -> Entity:
    """Notes with the number of their tags."""
    columns = {"body": "n.body", "tags": "(select count(*) from public.tag t where t.note_id = n.id)"}
    return Entity.model_validate(
        {
            "entity": "notes", "target": "notes",
            "sources": {"note": {"from": "note n", "key": {"legacy_id": "n.id"}, "columns": columns, **source}},
        }
    )  # fmt: skip


CATALOG = Catalog({"notes": entity(watch=("tag w on w.note_id = n.id",))})


@pytest.fixture
def world(legacy_db: str, target_db: str) -> EngineWorld:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute(
            "create table note (id serial primary key, body text, updated_at timestamptz default now());"
            " create table tag (id serial primary key, note_id int);"
            " insert into note (body) select 'note ' || i from generate_series(1, 4) i"
        )
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("create table notes (id uuid primary key, legacy_id bigint unique, body text, tags bigint)")
    return EngineWorld(CATALOG, legacy_db, install(target_db, "only-for-tests", CATALOG))


def test_a_change_of_a_watched_row_is_a_change_of_the_row_that_counts_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    legacy("insert into tag (note_id) values (2), (2)")
    assert run(world, "second", profile="daily").total("notes")["read"] == 1
    assert target("select tags from notes where legacy_id = 2") == [(2,)]
