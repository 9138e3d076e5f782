"""People may rename, move and drop what a first load has taken apart, before, while and after it does so."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest

from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from tests.engine.bulk import LEFT, ROWS, SHAPE
from tests.engine.bulk import the_target as the_target
from tests.engine.bulk import the_world as the_world
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

RENAMED = {
    "a column that a predicate names": ('rename size to extent', 'rename extent to size'),
    "a column of a foreign key": ('rename owner_id to "Owner of"', 'rename "Owner of" to owner_id'),
    "two columns that exchange their names": (
        'rename size to x; alter table shop."Things" rename legacy_id to size; alter table shop."Things" rename x to'
        " legacy_id",
        'rename size to x; alter table shop."Things" rename legacy_id to size; alter table shop."Things" rename x to'
        " legacy_id"),
    "a new column of an old name": (
        'rename size to extent; alter table shop."Things" add size text',
        'drop size; alter table shop."Things" rename extent to size'),
    "the table": ('rename to "Stuff"', 'rename to "Things"'),
    "the table's schema": ("set schema public", "set schema shop"),
    "the parent": ('rename note to remark; alter table owners rename to people', 'rename remark to note; alter table'
                   " people rename to owners"),
    "the parent's column": ("rename tags to t; alter table owners rename id to who", "rename t to tags; alter table"
                            " owners rename who to id"),
}  # fmt: skip
"""After `alter table …`: what somebody does to `things`, and how it is taken back."""
RUN = (
    "insert into hybrid_sync.run (run_id, profile, trigger, priority, request, fence, catalog_hash, deadline_at)"
    " values ('first', 'weekly', 'test', 'normal', '{}', '{}', '', now())"
)


def _alter(target: Query, change: str) -> None:
    target(f"alter table {_name(target)} {change}")


def _broken_off(world: EngineWorld, target: Query) -> None:
    with armed({"batch.committed": Raise()}), suppress(FailpointRaised):
        run(world, "first")
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    assert target(LEFT) != [(0,)]


def _end(target: Query) -> None:
    """Make and prove what is left open, as the next run does it; what the server refuses stays open."""
    for name in ("owners", "things"):
        with suppress(psycopg.errors.UndefinedColumn):
            while target("select hybrid_sync.end_bulk(%s)", name) != [(None,)]:
                pass
        target("select hybrid_sync.prove_bulk(%s, 0) from generate_series(1, 9)", name)


@pytest.mark.parametrize("what", RENAMED)
def test_what_was_renamed_after_the_load_began_is_made_again(bulk_world: EngineWorld, target: Query, what: str) -> None:
    before = target(SHAPE)
    _broken_off(bulk_world, target)
    there, back = RENAMED[what]
    _alter(target, there)
    _end(target)
    assert target(LEFT) == [(0,)]
    _alter(target, back)
    assert target(SHAPE) == before


@pytest.mark.parametrize("what", RENAMED)
def test_what_was_renamed_before_the_load_began_is_made_again(
    bulk_world: EngineWorld, target: Query, what: str
) -> None:
    """As an owner does who takes a change back while the first load is at work."""
    before = target(SHAPE)
    there, back = RENAMED[what]
    _alter(target, there)
    target(RUN)
    for name in ("owners", "things"):
        assert target("select hybrid_sync.begin_bulk('first', %s)", name) == [(None,)]
    assert target(LEFT) != [(0,)]
    _alter(target, back)
    _end(target)
    assert target(LEFT) == [(0,)]
    assert target(SHAPE) == before


def test_the_columns_of_other_tables_are_not_read(bulk_world: EngineWorld, target: Query, target_db: str) -> None:
    """A database has many tables, and each part of a load asks whether its columns were renamed or dropped."""
    names = ", ".join(f"c{n} int" for n in range(1500))
    for n in range(4):
        target(f"create table wide{n} ({names})")
    target(RUN)
    with psycopg.connect(target_db) as connection:
        for name in ("owners", "things"):
            assert connection.execute("select hybrid_sync.begin_bulk('first', %s)", (name,)).fetchone() == (None,)
            while connection.execute("select hybrid_sync.end_bulk(%s)", (name,)).fetchone() != (None,):
                pass
        read = connection.execute(
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_sys_tables where relname = 'pg_attribute'"
        ).fetchone()
    assert read is not None
    assert read[0] < 4 * 1500


def test_what_goes_with_a_dropped_column_does_not_come_back(bulk_world: EngineWorld, target: Query) -> None:
    _broken_off(bulk_world, target)
    target('alter table shop."Things" drop size, drop next_id')
    target("alter table owners drop first_thing")
    _end(target)
    assert target(LEFT) == [(0,)]
    names = {row[0] for row in target("select conname from pg_constraint union select indexrelid::regclass::text"
                                      " from pg_index")}  # fmt: skip
    assert not {'shop."by Size"', "shop.half", "shop.spans", "next", "first", "owners_first_thing_idx"} & names
    assert {"shop.tagged", "shop.hashed", "of owner", "kept_kind"} <= names


def test_the_next_run_ends_a_load_of_a_table_that_was_renamed_for_a_while(
    bulk_world: EngineWorld, target: Query
) -> None:
    before = target(SHAPE)
    _broken_off(bulk_world, target)
    target('alter table shop."Things" rename size to extent')
    assert run(bulk_world, "second", entities=["owners"]).outcome.status == "succeeded"
    assert target(LEFT) == [(0,)]
    target('alter table shop."Things" rename extent to size')
    assert run(bulk_world, "third").outcome.status == "succeeded"
    assert target(ROWS) == [(40, 400)]
    assert target(SHAPE) == before


def _name(target: Query) -> str:
    return str(target("select c.oid::regclass::text from pg_class c where c.relname in ('Things', 'Stuff')")[0][0])
