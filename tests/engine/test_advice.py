"""An index that a statement of ours, or a delete, lacks is named with what is read today; none where all are there."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from hybrid_sync.tuning.advice import of_legacy, of_target
from hybrid_sync.tuning.explained import plans_of
from hybrid_sync.tuning.model import Advice
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld

_LEGACY = """
create table a (id int primary key, name text not null, touched timestamptz not null default now());
create table detail (id int primary key, a_id int, words text);
create table near (id int primary key, a_id int, words text);
insert into a select i, repeat('name ', 8), timestamptz '2026-01-01' + i * interval '1 minute'
  from generate_series(1, 20000) i;
insert into detail select i, i, repeat('word ', 8) from generate_series(1, 20000) i;
insert into near select i, i, repeat('word ', 8) from generate_series(1, 20000) i;
analyze;
"""
_TARGET = """
create table a (id uuid primary key, legacy_id bigint unique, name text, words text);
create table b (id uuid primary key, legacy_id bigint unique, a_id uuid, name text);
create table notes (id bigint generated always as identity, a_id uuid references a, words text);
insert into notes (words) select repeat('word ', 12) from generate_series(1, 20000);
insert into b (id, name) select gen_random_uuid(), repeat('name ', 8) from generate_series(1, 20000);
analyze notes, b;
"""
_DUE = {
    "legacy": {
        "create index concurrently on public.detail (a_id);",
        "create index concurrently on public.near (a_id);",
        "create index concurrently on public.a (touched);",
    },
    "target": {"create index concurrently on public.notes (a_id);", "create index concurrently on public.b (a_id);"},
}


@pytest.fixture
def world(legacy_db: str, target_db: str) -> Iterator[EngineWorld]:
    made = small_world(
        legacy_db, target_db, _LEGACY, _TARGET,
        {
            **entity("a", joins=["left join detail d on d.a_id = a.id"], watch=["near n on n.a_id = a.id"],
                     changed_at="a.touched", columns={"name": "a.name", "words": "d.words"}),
            "detect": "timestamp", "lag_seconds": 60,
        },
        {
            "entity": "b", "target": "b",
            "sources": {"a": {"from": "a a", "key": {"legacy_id": "a.id"}, "columns": {"name": "a.name"},
                              "references": {"a_id": {"to": "a", "key": "a.id"}}}},
        },
    )  # fmt: skip
    yield made
    made.pool.close()


def advice(world: EngineWorld) -> dict[str, list[Advice]]:
    with world.connect_legacy() as legacy, world.connect_target() as target:
        plans, skipped = plans_of(world.catalog, ["a", "b"], legacy, target)
        assert skipped == []
        found, explained = of_legacy(world.catalog, plans, legacy)
    assert explained == 4
    with world.connect_target() as target:
        more, _ = of_target(world.catalog, target)
    return {"legacy": found, "target": more}


def create(dsn: str, statements: set[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_missing_indexes_are_named_with_evidence_and_their_ddl_ends_it(
    world: EngineWorld, legacy_db: str, target_db: str
) -> None:
    found = advice(world)
    assert {side: {one.ddl for one in some} for side, some in found.items()} == _DUE
    for one in (*found["legacy"], *found["target"]):
        assert (one.rows, one.cost > 100, "about 20,000 rows read" in one.evidence) == (20_000, True, True), one
    readable = {one.ddl: one.evidence.startswith("EXPLAIN") for one in found["target"]}
    assert [readable[ddl] for ddl in sorted(readable)] == [True, False], "our role may read mapped tables alone"
    create(legacy_db, _DUE["legacy"])
    create(target_db, _DUE["target"])
    assert advice(world) == {"legacy": [], "target": []}


def test_an_index_without_the_rows_that_refer_to_nothing_serves_and_one_of_other_rows_does_not(
    world: EngineWorld, target_db: str
) -> None:
    partial = {"create index on notes (a_id) where a_id is not null", "create index on b (a_id) where name = 'x'"}
    create(target_db, partial)
    assert [one.ddl for one in advice(world)["target"]] == ["create index concurrently on public.b (a_id);"]
