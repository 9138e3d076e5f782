"""Changes that another row makes, and changes found by timestamp: nothing is missed, nothing is assumed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.target.install import install
from tests.conftest import PASSWORD
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

READER = "blind_reader"
"""May read the tables of legacy, and does not see when its writers began."""


def entity(**source: Any) -> Entity:
    """Notes with the number of their tags; how changes are found is up to the test."""
    detect = source.pop("detect", "commit_fence")
    columns = {"body": "n.body", "tags": "(select count(*) from tag t where t.note_id = n.id)"}
    return Entity.model_validate(
        {
            "entity": "notes", "target": "notes", "detect": detect,
            "sources": {"note": {"from": "note n", "key": {"legacy_id": "n.id"}, "columns": columns, **source}},
        }
    )  # fmt: skip


CATALOGS = {
    "watching": Catalog({"notes": entity(watch=("tag w on w.note_id = n.id",))}),
    "by time": Catalog({"notes": entity(detect="timestamp", changed_at="n.updated_at")}),
}


@pytest.fixture(params=["by time"])
def world(request: pytest.FixtureRequest, legacy_db: str, target_db: str) -> EngineWorld:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute(
            "create table note (id serial primary key, body text, updated_at timestamptz default now());"
            " create table tag (id serial primary key, note_id int);"
            " insert into note (body) select 'note ' || i from generate_series(1, 4) i"
        )
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("create table notes (id uuid primary key, legacy_id bigint unique, body text, tags bigint)")
    catalog = CATALOGS[request.param]
    return EngineWorld(catalog, legacy_db, install(target_db, "only-for-tests", catalog))


def bodies(target: Query) -> dict[int, str]:
    return dict(target("select legacy_id, body from notes"))


@pytest.mark.parametrize("world", ["watching"], indirect=True)
def test_a_change_of_a_watched_row_is_a_change_of_the_row_that_counts_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first", profile="daily")
    legacy("insert into tag (note_id) values (2), (2)")
    assert run(world, "second", profile="daily").total("notes")["read"] == 1
    assert target("select tags from notes where legacy_id = 2") == [(2,)]


def test_a_writer_that_began_before_the_run_and_commits_after_it_is_not_missed(
    world: EngineWorld, target: Query
) -> None:
    with world.connect_legacy() as late, world.connect_legacy() as later:
        late.execute("begin")
        late.execute("update note set body = 'late', updated_at = now() where id = 1")
        later.execute("update note set body = 'later', updated_at = clock_timestamp() where id = 2")
        run(world, "first", profile="daily")
        late.execute("commit")
    run(world, "second", profile="daily")
    assert bodies(target)[1] == "late"


@pytest.mark.parametrize("moment", ["null", "now() + interval '1 year'"])
def test_a_row_without_a_time_or_with_one_to_come_is_read_every_time(
    world: EngineWorld, legacy: Query, target: Query, moment: str
) -> None:
    legacy(f"update note set updated_at = {moment} where id = 1")
    run(world, "first", profile="daily")
    legacy("update note set body = 'edited' where id = 1")
    run(world, "second", profile="daily")
    assert bodies(target)[1] == "edited"


@pytest.fixture
def blind(world: EngineWorld, legacy: Query) -> Iterator[EngineWorld]:
    legacy(f"create role {READER} login password '{PASSWORD}'; grant select on note, tag to {READER}")
    owner = world.legacy_dsn
    world.legacy_dsn = make_conninfo(owner, user=READER, password=PASSWORD)
    yield world
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("drop owned by {role}; drop role {role}").format(role=sql.Identifier(READER)))


def test_without_the_right_to_see_writers_a_run_by_time_stops_and_names_the_grant(
    blind: EngineWorld, target: Query
) -> None:
    run(blind, "first", profile="daily")
    run(blind, "second", profile="daily")
    [(failure,)] = target("select failure from hybrid_sync.run_entity where run_id = 'second'")
    assert failure["code"] == "missing_privilege"
    assert "pg_read_all_stats" in failure["text"]
    assert target("select run_id from hybrid_sync.fence") == [("first",)]
