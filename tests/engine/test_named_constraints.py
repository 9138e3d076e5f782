"""A failed record names the constraint that its row broke and the columns that this is about, and no value."""

from __future__ import annotations

import psycopg
import pytest

from tests.engine.small import entity, small_world
from tests.engine.worlds import run

TABLE = """
create table states (code text primary key);
insert into states values ('open');
create table a (
  id uuid primary key, legacy_id bigint unique, email text constraint once unique, street text, house int,
  state text constraint known_state references states, note text constraint short check (length(note) < 5),
  constraint one_house unique (street, house)
);
create unique index of_two on a (state, house) include (email) where note = 'pair';
create unique index by_lower on a (lower(note));
create table other (email text, constraint elsewhere check (email <> ''));
"""
WRONG = {
    "'a@example.org', 'x', 2, 'open', 'a'": ("unique_violation", "once", "email"),
    "'b@example.org', 'x', 1, 'open', 'b'": ("unique_violation", "one_house", "street, house"),
    "'c@example.org', 'x', 3, 'gone', 'c'": ("foreign_key_violation", "known_state", "state"),
    "'d@example.org', 'x', 4, 'open', 'much too long'": ("check_violation", "short", "note"),
    "'e@example.org', 'x', 5, 'open', 'FIRST'": ("check_violation", "short", "note"),
    "'g@example.org', 'y', 1, 'open', 'pair'": ("unique_violation", "of_two", "state, house"),
    "'f@example.org', 'x', 6, 'open', 'ONE'": ("unique_violation", "by_lower", None),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_columns_of_a_broken_constraint_are_named(legacy_db: str, target_db: str, wrong: str) -> None:
    columns = ("email", "street", "house", "state", "note")
    world = small_world(
        legacy_db, target_db,
        "create table a (id int primary key, email text, street text, house int, state text, note text);"
        f"insert into a values (1, 'a@example.org', 'x', 1, 'open', 'one'), (2, {wrong}),"
        " (3, 'z@example.org', 'z', 9, 'open', 'z'), (4, 'p@example.org', 'p', 1, 'open', 'pair')",
        TABLE, entity(columns={name: f"a.{name}" for name in columns}),
    )  # fmt: skip
    assert run(world, "first").outcome.status == "degraded"
    with psycopg.connect(target_db) as target:
        found = target.execute("select reason, constraint_name, column_name from hybrid_sync.failed_record").fetchall()
    assert found == [WRONG[wrong]]
