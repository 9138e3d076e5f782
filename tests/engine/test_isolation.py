"""A bad row costs that row: exactly it fails, with its own reason, whether one is bad or most are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from bench.poison import load, require_exact
from bench.poison_world import KINDS
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.failures.reasons import REASONS
from hybrid_sync.legacy import rows
from hybrid_sync.postgres import transaction
from hybrid_sync.rows.scan import scan
from hybrid_sync.rows.splice import splice
from hybrid_sync.schema.plans import compile_entity
from hybrid_sync.write.isolate import reason_of, unreadable_reason, write_isolated
from hybrid_sync.write.journal import CHANGES
from hybrid_sync.write.write import Writer
from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


def refused(target: Query, entity: str) -> list[tuple[Any, ...]]:
    """Open failed records (key, reason, whether an older version is there), those that wait for a parent apart."""
    return target(
        "select key[1], reason, present from hybrid_sync.failed_record where entity = %s and status <> 'resolved'"
        " and reason <> 'missing_parent' order by key",
        entity,
    )


@pytest.fixture
def new_database(postgres: Cluster) -> Iterator[Callable[[str, str], str]]:
    """Call with a name and an encoding for the DSN of a database that is gone after the test."""
    made: list[str] = []

    def create(name: str, encoding: str) -> str:
        made.append(name)
        with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL(
                    "create database {} encoding {} lc_collate 'C' lc_ctype 'C' locale_provider libc template template0"
                ).format(sql.Identifier(name), sql.Literal(encoding))
            )
        return postgres.dsn(name)

    yield create
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_exactly_the_rare_bad_rows_fail_each_for_its_reason(new_database: Callable[[str, str], str]) -> None:
    count, every = 50 * len(KINDS), 50
    require_exact(load(new_database, "rare", count, every=every), count, every=every)


def test_exactly_the_dense_bad_rows_fail_each_for_its_reason(new_database: Callable[[str, str], str]) -> None:
    count, every = 3 * 20 * len(KINDS), 3
    require_exact(load(new_database, "dense", count, every=every), count, every=every)


def test_each_inserted_row_is_journalled_under_the_transaction_that_wrote_it(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("update person set email = 'same@example.org' where id in (3, 7, 9)")
    target("create unique index on people (email)")
    run(world, "first")
    assert refused(target, "people") == [(7, "unique_violation", False), (9, "unique_violation", False)]
    journalled = target(
        "select k, j.xid::text from hybrid_sync.journal j, unnest(j.keys) k"
        " where j.entity = 'people' and j.operation = 'insert' order by k"
    )
    # Linked, or settled with the others that want its value: a later write of the run, journalled as such.
    links = {
        row[0]
        for row in target(
            "select keys[1] from hybrid_sync.journal where operation in ('link', 'update') and entity = 'people'"
        )
    }
    present = target("select legacy_id, xmin::text from people where legacy_id is not null order by 1")
    assert [k for k, _ in journalled] == [k for k, _ in present]
    assert all(j == p for j, p in zip(journalled, present, strict=True) if j[0] not in links)
    xids = {
        str(x)
        for row in target("select xids::text[] from hybrid_sync.batch_done where entity = 'people'")
        for x in row[0]
    }
    assert {x for _, x in journalled} <= xids


def test_updates_that_are_refused_leave_the_old_version_and_journal_only_the_others(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy("update visit set note = case when id in (2, 5) then 'forbidden' else 'visited ' || id end where id < 8")
    run(world, "second")
    assert refused(target, "visits") == [(2, "check_violation", True), (5, "check_violation", True)]
    notes = dict(target("select legacy_id, note from visits where legacy_id < 8"))
    assert notes == {i: f"visit {i}" if i in (2, 5) else f"visited {i}" for i in range(1, 8)}
    journalled = target(
        f"select j.keys[1], j.before ->> 'note', j.xid::text = v.xmin::text from {CHANGES.as_string()} j"
        " join visits v on v.id = j.id where j.run_id = 'second' and j.operation = 'update' order by 1"
    )
    assert journalled == [(i, f"visit {i}", True) for i in (1, 3, 4, 6, 7)]


def test_an_update_that_a_trigger_drops_is_a_failed_record(world: EngineWorld, legacy: Query, target: Query) -> None:
    run(world, "first")
    target(
        "create function drop_update() returns trigger language plpgsql as"
        " $$ begin return case when new.note = 'drop me' then null else new end; end $$"
    )
    target("create trigger t before update on visits for each row execute function drop_update()")
    legacy("update visit set note = case when id = 3 then 'drop me' else 'new ' || id end where id < 5")
    run(world, "second")
    assert refused(target, "visits") == [(3, "trigger_suppressed", True)]
    assert [n for (n,) in target("select note from visits where legacy_id < 5 order by legacy_id")] == [
        "new 1", "new 2", "visit 3", "new 4",
    ]  # fmt: skip


def test_a_constraint_that_waits_for_the_commit_costs_its_row_too(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("alter table people add unique (email) deferrable initially deferred")
    legacy("update person set email = 'same@example.org' where id in (3, 7)")
    run(world, "first")
    assert refused(target, "people") == [(7, "unique_violation", False)]


def test_a_healed_row_arrives_with_the_next_run(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("update visit set note = 'forbidden' where id = 3")
    run(world, "first")
    assert refused(target, "visits") == [(3, "check_violation", False)]
    legacy("update visit set note = 'allowed' where id = 3")
    run(world, "second")
    assert refused(target, "visits") == []
    assert target("select note from visits where legacy_id = 3") == [("allowed",)]


def test_a_key_that_a_join_doubles_later_fails_although_only_one_version_is_young(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("create table label (visit_id int, words text); insert into label values (3, 'old words')")
    visits = world.catalog["visits"].model_dump(by_alias=True)
    visits["sources"]["visit"]["joins"] = ["left join label l on l.visit_id = v.id"]
    visits["sources"]["visit"]["columns"]["note"] = "coalesce(l.words, v.note)"
    world.catalog = Catalog({**world.catalog.entities, "visits": Entity.model_validate(visits)})
    run(world, "first")
    legacy("insert into label values (3, 'new words')")
    run(world, "second")
    assert refused(target, "visits") == [(3, "duplicate_key", True)]
    assert target("select note from visits where legacy_id = 3") == [("old words",)]


def test_a_role_that_may_not_copy_stages_its_new_rows_and_isolates_them_alike(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("create unique index on people (email)")
    legacy("update person set clinic_id = null, manager_id = null, settings = null")
    legacy("update person set email = 'same@example.org' where id in (3, 7)")
    with world.connect_legacy() as reading, world.connect_target() as writing:
        compiled = compile_entity("people", world.catalog, reading, writing)
        plan = compiled.sources["person"]
        scanned = scan(plan, rows.read(reading, plan, sql.SQL("true")))
        spliced = splice(plan, scanned, {}, {}, lambda keys: [uuid4().bytes for _ in keys], flag_new=True)
        with transaction(writing, "target"):
            writing.execute("select hybrid_sync.ensure_journal_partition(now())")
            writer = Writer(writing, replace(compiled.table, row_security=True), plan, "run", uuid4())
            written, found = write_isolated(writing, writer, spliced.new, [])
    assert [(r.key, r.reason) for r in found] == [((7,), "unique_violation")]
    assert written.inserted == 11
    assert target("select count(*) from people where legacy_id is not null") == [(11,)]


@pytest.mark.parametrize(
    "sqlstate", ["PT403", "P0001", "P0002", "45000", "UE001", "5A001", "42501", "42P01", "0A000", "XX000"]
)
def test_what_a_trigger_raises_is_its_exception_whatever_code_it_chose(sqlstate: str) -> None:
    assert reason_of(sqlstate) == "trigger_exception"


@pytest.mark.parametrize("sqlstate", ["54011", "2200G", ""])
def test_what_has_no_name_of_its_own_is_other(sqlstate: str) -> None:
    assert reason_of(sqlstate) == "other"


@pytest.mark.parametrize("sqlstate", ["22012", "22P02", "22007", "22021", "22003", "P0001"])
def test_every_row_that_legacy_cannot_compute_has_a_reason(sqlstate: str) -> None:
    assert unreadable_reason(sqlstate) in REASONS
