"""What a trigger writes beside a page is looked for where the server has counted more than the page wrote and took
back: rows that are refused are no reason to look."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.failpoints import armed
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run

PAGES, ROWS = 4, 100
LEGACY = f"""
create table things (id int primary key, size int);
insert into things select n, n from generate_series(1, {PAGES * ROWS}) n;
"""
# The trigger fires for each row, and writes none.
TARGET = """
create table things (id uuid primary key, legacy_id int unique, size int check (size > 0));
create function f() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger t before insert or update on things for each row execute function f();
"""
# In a block, whose transaction id is its own; where the row itself is refused, all of it is taken back.
BLOCK = """
create or replace function f() returns trigger language plpgsql as $$ begin
  begin
    update public.things set size = 7777 where legacy_id = new.legacy_id - 1 and new.size in (5000, -5000);
  exception when division_by_zero then null; end;
  return new; end $$;
"""
# One row of each page, in the middle of it.
REFUSED = f"update things set size = -1 where id % {ROWS} = 50"
BESIDE = "select count(*)::int from hybrid_sync.written_beside"
FAILED = "select key[1], reason from hybrid_sync.failed_record where status <> 'resolved' order by 1"


@pytest.fixture(name="world")
def the_world(legacy_db: str, target_db: str) -> EngineWorld:
    return small_world(legacy_db, target_db, LEGACY, TARGET, entity("things", columns={"size": "a.size"}))


@pytest.fixture(name="target")
def the_target(target_db: str, world: EngineWorld) -> Query:
    return _runner(target_db)


@pytest.fixture(name="legacy")
def the_legacy(legacy_db: str, world: EngineWorld) -> Query:
    return _runner(legacy_db)


@pytest.mark.parametrize("known", [False, True])
def test_rows_that_are_refused_are_no_writes_of_a_trigger(
    world: EngineWorld, legacy: Query, target: Query, known: bool
) -> None:
    if known:
        run(world, "before", profile="daily", batch_size=ROWS)
        legacy("update things set size = size + 1")
    legacy(REFUSED)
    run(world, "first", profile="daily", batch_size=ROWS)
    assert target("select count(*)::int from hybrid_sync.batch_done where run_id = 'first'") == [(PAGES,)]
    assert [key for key, _ in target(FAILED)] == [50, 150, 250, 350]
    assert target(BESIDE) == [(0,)]


def test_what_a_trigger_does_write_is_told_among_rows_that_are_refused(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "before", profile="daily", batch_size=ROWS)
    target(BLOCK)
    legacy(f"{REFUSED}; update things set size = 5000 where id = 31; update things set size = -5000 where id = 61")
    run(world, "first", profile="daily", batch_size=ROWS)
    refused = [(key, "check_violation") for key in (50, 61, 150, 250, 350)]
    assert target(FAILED) == sorted([*refused, (30, "trigger_changed_value")])
    assert target(BESIDE) == [(1,)]


def test_rows_that_are_found_one_by_one_are_no_writes_of_a_trigger(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """A statement that is cancelled is split from here, each attempt under its own time limit."""
    run(world, "before", profile="daily", batch_size=ROWS)
    target("create or replace function f() returns trigger language plpgsql as $$ begin"
           " if new.size = -1 then raise exception using errcode = '57014'; end if; return new; end $$")  # fmt: skip
    legacy(f"update things set size = size + 1; {REFUSED}")
    run(world, "first", profile="daily", batch_size=ROWS)
    assert [key for key, _ in target(FAILED)] == [50, 150, 250, 350]
    assert target(BESIDE) == [(0,)]


class Scanned:
    """How often the first page goes through the whole table between two points of it."""

    def __init__(self) -> None:
        self.scans: list[int] = []

    def fire(self, name: str, connections: tuple[psycopg.Connection[tuple[int]], ...]) -> None:
        asked = "select seq_scan from pg_stat_xact_user_tables where relid = 'public.things'::regclass"
        [(scans,)] = connections[0].execute(asked).fetchall()
        self.scans.append(-scans) if name == "batch.recorded" else self.scans.append(self.scans.pop() + scans)


@pytest.mark.parametrize("native", [False, True])
def test_the_table_is_gone_through_for_a_triggers_writes_only_while_somebody_else_writes(
    world: EngineWorld, legacy: Query, target: Query, target_db: str, native: bool
) -> None:
    run(world, "before", profile="daily", batch_size=ROWS)
    target(BLOCK)
    legacy(f"update things set size = case when id % {ROWS} = 31 then 5000 else size + 1 end")
    scanned = Scanned()
    points = {"batch.recorded": scanned, "batch.before_commit": scanned}
    with psycopg.connect(target_db) as somebody, armed(points):
        if native:  # in a block of its own, whose id nobody can tell from ours
            somebody.execute("create table natives (n int)")
            with somebody.transaction():
                somebody.execute("insert into natives values (1)")
        run(world, "first", profile="daily", batch_size=ROWS)
        somebody.rollback()
    assert scanned.scans == [int(native)]
    assert target(FAILED) == [(n * ROWS + 30, "trigger_changed_value") for n in range(PAGES)]
    assert target(BESIDE) == [(PAGES,)]
