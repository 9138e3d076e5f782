"""Keys: none is rounded, none overflows, and an expression means what its author wrote wherever it is spliced."""

from __future__ import annotations

import psycopg
import pytest

from tests.engine.small import entity, small_world
from tests.engine.worlds import run

TARGET = "create table a (id uuid primary key, legacy_id {} unique, name text)"


def test_a_key_that_the_target_cannot_hold_costs_its_row(legacy_db: str, target_db: str) -> None:
    world = small_world(
        legacy_db, target_db, "create table a (id bigint primary key, name text);"
        "insert into a values (2147483647, 'i'), (2147483648, 'i+1'), (-2147483649, 'less'), (1, 'x')",
        TARGET.format("int"), entity(columns={"name": "a.name"}),
    )  # fmt: skip
    for run_id in ("first", "second"):
        run(world, run_id, profile="weekly")
        with psycopg.connect(target_db) as target:
            assert target.execute("select legacy_id, name from a order by 1").fetchall() == [
                (1, "x"),
                (2147483647, "i"),
            ]
            failed = target.execute(
                "select key[1], reason, column_name from hybrid_sync.failed_record order by 1"
            ).fetchall()
        assert failed == [
            (-2147483649, "numeric_out_of_range", "legacy_id"), (2147483648, "numeric_out_of_range", "legacy_id"),
        ]  # fmt: skip
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute("update a set name = 'changed' where id = 1")
    run(world, "third", profile="daily")
    with psycopg.connect(target_db) as target:
        assert target.execute("select name from a where legacy_id = 1").fetchall() == [("changed",)]


@pytest.mark.parametrize("key", ["a.id + 1000000", "a.id - 5", "a.id | 1048576", "case when true then a.id end"])
def test_a_key_expression_is_one_expression(legacy_db: str, target_db: str, key: str) -> None:
    world = small_world(
        legacy_db, target_db, "create table a (id int primary key, name text, above int);"
        "insert into a select i, 'n' || i, i - 1 from generate_series(1, 2500) i",
        TARGET.format("bigint").replace("name text", "name text, above_id uuid"),
        entity(key=key, columns={"name": "a.name"}, references={
            "above_id": {"to": "a", "key": "a.above + 1000000", "deferred": True}} if key == "a.id + 1000000" else {}),
    )  # fmt: skip
    done = run(world, "first", profile="weekly", batch_size=500)
    assert done.total("a")["inserted"] == 2500
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute("update a set name = 'changed' where id = 2400; delete from a where id = 3")
        expected = legacy.execute(f"select ({key}), name from a order by 1".encode()).fetchall()
    run(world, "second", profile="daily")
    run(world, "third", profile="weekly", batch_size=500)
    with psycopg.connect(target_db) as target:
        there = target.execute("select legacy_id, name from a where legacy_id is not null order by 1").fetchall()
    assert [row for row in there if row not in set(expected)] == [row for row in there if row[1] == "n3"], (
        "what is gone is a pending delete"
    )
    assert set(expected) <= set(there)
