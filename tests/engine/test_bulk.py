"""A first load into an empty table: what is dropped for it is there again afterwards, exactly, and holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.schema.bulk import ROWS as ROWS_OF_A_PAGE
from hybrid_sync.schema.install import install
from hybrid_sync.steps.rollback_run import rollback_run
from tests.conftest import PASSWORD
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects

LEGACY = """
create table owners (id int primary key, name text);
create table things (id int primary key, owner_id int, kind text, size int, next_id int);
insert into owners select n, 'o' || n from generate_series(1, 40) n;
insert into things select n, 1 + n % 40, 'a', n, n + 1 from generate_series(1, 400) n;
"""
TARGET = """
create schema shop;
create table kinds (kind text primary key);
insert into kinds values ('a'), ('b');
create table owners (id uuid primary key, legacy_id int unique, name text);
create table shop."Things" (
  id uuid primary key, legacy_id int unique, owner_id uuid not null, kind text, size int, next_id uuid, note text,
  constraint "of owner" foreign key (owner_id) references owners on delete cascade deferrable initially deferred,
  constraint kept_kind foreign key (kind) references kinds match full,
  constraint next foreign key (next_id) references shop."Things" on delete set null deferrable);
alter table shop."Things" add constraint loose foreign key (note) references kinds not valid;
alter table owners add first_thing uuid constraint first references shop."Things";
comment on constraint "of owner" on shop."Things" is 'who has ''it''';
create index on owners (name);
create index "by Size" on shop."Things" using btree (size desc nulls last) include (kind) with (fillfactor = 70);
comment on index shop."by Size" is 'the largest first';
create index half on shop."Things" (kind text_pattern_ops) where size > 10;
create index computed on shop."Things" ((size * 2), lower(kind) collate "C");
create index hashed on shop."Things" using hash (note);
alter table shop."Things" cluster on "by Size";
create unique index one_note on shop."Things" (note) where note is not null;
alter table shop."Things" add constraint apart exclude using btree (legacy_id with =);
create index counted on shop."Things" ((size + 1));
alter index shop.counted alter column 1 set statistics 500;
"""
SHAPE = """
select c.oid::regclass::text, pg_get_indexdef(c.oid), i.indisvalid::text, i.indisclustered::text,
       obj_description(c.oid, 'pg_class')
from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid in ('owners'::regclass, 'shop."Things"'::regclass)
union all
select conrelid::regclass::text, conname || pg_get_constraintdef(oid), convalidated::text, condeferred::text,
       obj_description(oid, 'pg_constraint')
from pg_constraint where conrelid in ('owners'::regclass, 'shop."Things"'::regclass)
order by 1, 2
"""
LEFT = "select count(*)::int from hybrid_sync.bulk_part"
ROWS = 'select (select count(*) from owners)::int, (select count(*) from shop."Things")::int'


def things_world(legacy_db: str, target_db: str, owners: str = "bulk") -> EngineWorld:
    parents = {**entity("owners", columns={"name": "a.name"}), "first_load": owners}
    things = {
        **entity(
            "things", columns={"kind": "a.kind", "size": "a.size"},
            references={"owner_id": {"to": "owners", "key": "a.owner_id"},
                        "next_id": {"to": "things", "key": "a.next_id", "deferred": True, "on_missing": "null"}},
        ),
        "target": 'shop."Things"', "first_load": "bulk",
    }  # fmt: skip
    return small_world(legacy_db, target_db, LEGACY, TARGET, parents, things)


@pytest.fixture
def bulk_world(legacy_db: str, target_db: str) -> EngineWorld:
    return things_world(legacy_db, target_db)


@pytest.fixture
def target(target_db: str, bulk_world: EngineWorld) -> Query:
    return _runner(target_db)


@pytest.fixture
def legacy(legacy_db: str, bulk_world: EngineWorld) -> Query:
    return _runner(legacy_db)


class Look:
    """At a failpoint: what somebody else sees then."""

    def __init__(self, query: Callable[[], list[tuple[Any, ...]]]) -> None:
        self.query, self.seen = query, list[tuple[Any, ...]]()

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.seen = self.query()


def test_everything_is_there_again_as_it_was_and_holds(bulk_world: EngineWorld, target: Query) -> None:
    before = target(SHAPE)
    look = Look(lambda: target(SHAPE))
    with armed({"batch.claimed": look}) as points:
        done = run(bulk_world, "first")
    assert done.outcome.status == "succeeded"
    assert target(SHAPE) == before
    assert target(ROWS) == [(40, 400)]
    assert points.passed["bulk.made"] == 10, "five indexes, and five foreign keys, one of which was not valid"
    gone = set(before) - set(look.seen)
    assert {row[0] for row in gone if row[1].startswith("CREATE")} == {
        "owners_name_idx", 'shop."by Size"', "shop.half", "shop.computed", "shop.hashed",
    }  # fmt: skip
    assert len(gone) == 10 and not set(look.seen) - set(before), "what keeps rows apart, or says more, has stayed"
    assert target(LEFT) == [(0,)]
    assert target("select run_id from hybrid_sync.bulk_table order by entity") == [(None,), (None,)]
    assert run(bulk_world, "second").outcome.summary["inserted"] == 0
    pages = {name: tasks[0].model_dump()["page_rows"] for name, tasks in bulk_world.manifests.tasks.items() if tasks}
    assert pages[("first", "things")] == ROWS_OF_A_PAGE, "few pages, since what one costs by itself is paid for each"


BETWEEN = ["bulk.beginning", "bulk.begun", "batch.committed", "bulk.making", "bulk.made", "bulk.proving", "bulk.ended"]


@pytest.mark.parametrize("point", BETWEEN)
def test_a_load_that_broke_off_is_ended_by_whatever_run_comes_next(
    bulk_world: EngineWorld, target: Query, point: str
) -> None:
    before = target(SHAPE)
    with armed({point: Raise()}) as points, suppress(FailpointRaised):
        run(bulk_world, "first")
    assert points.fired[point]
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    few = run(bulk_world, "few", profile="on_demand", refs=[{"entity": "things", "legacy_id": 400}])
    assert few.outcome.status == "succeeded"
    assert target(SHAPE) == before
    assert target(LEFT) == [(0,)]
    assert run(bulk_world, "second").outcome.status == "succeeded"
    assert target(ROWS) == [(40, 400)]
    assert target(SHAPE) == before


def test_a_load_that_broke_off_is_rolled_back_with_its_keys_in_place(bulk_world: EngineWorld, target: Query) -> None:
    before = target(SHAPE)
    with armed({"bulk.proving": Raise()}), suppress(FailpointRaised):
        run(bulk_world, "first")
    undone = rollback_run(bulk_world, RollbackTask(run_id="first"))
    assert undone.undone.conflicts == {}
    assert target(SHAPE) == before
    assert target(ROWS) == [(0, 0)]


def test_a_row_that_breaks_a_foreign_key_is_a_failed_record_as_without_the_load(
    bulk_world: EngineWorld, target: Query, legacy: Query
) -> None:
    before = target(SHAPE)
    legacy("update things set kind = 'nowhere' where id in (3, 390)")
    done = run(bulk_world, "first")
    assert done.outcome.status == "failed" or done.outcome.status == "degraded"
    assert target(SHAPE) == before
    assert target(ROWS) == [(40, 398)]
    record = (
        "select key::text, reason, constraint_name, sqlstate, present, status from hybrid_sync.failed_record"
        ' order by key::text collate "C"'
    )
    assert target(record) == [
        (key, "foreign_key_violation", "kept_kind", "23503", False, "open") for key in ("{390}", "{3}")
    ]
    legacy("update things set kind = 'b' where id in (3, 390)")
    assert run(bulk_world, "second").outcome.status == "succeeded"
    assert target(ROWS) == [(40, 400)]
    for name in ("second", "first"):
        assert rollback_run(bulk_world, RollbackTask(run_id=name)).undone.conflicts == {}
    assert target(ROWS) == [(0, 0)]
    assert target(SHAPE) == before


class Do:
    """At a failpoint: what somebody else does then."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def fire(self, name: str, connections: tuple[Any, ...]) -> None:
        self.act()


NATIVE = "00000000-0000-4000-8000-00000000000"


def test_what_natives_wrote_meanwhile_is_named_and_left_alone(bulk_world: EngineWorld, target: Query) -> None:
    insert = f"""insert into shop."Things" (id, owner_id) values ('{NATIVE}1', '{NATIVE}9')"""
    with armed({"batch.committed": Do(lambda: target(insert))}):
        done = run(bulk_world, "first")
    assert done.outcome.status == "failed"
    assert target(ROWS) == [(40, 401)]
    [(failure,)] = target("select cause from hybrid_sync.run_failure where error = 'foreign_key_unproven'")
    assert "things" in failure and "of owner" in failure and f"{NATIVE}1" in failure
    valid = "select convalidated from pg_constraint where conname = 'of owner'"
    assert target(valid) == [(False,)], "new rows are checked by it, and the old one is known"
    told = run(bulk_world, "second")
    assert "of owner" in str(target("select warnings from hybrid_sync.run_entity where run_id = 'second'"))
    assert told.outcome.summary["inserted"] == 0
    target(f"delete from shop.\"Things\" where id = '{NATIVE}1'")
    assert run(bulk_world, "third").outcome.status == "succeeded"
    assert target(valid) == [(True,)]


def test_a_row_that_a_person_has_changed_meanwhile_is_not_taken_back(legacy_db: str, target_db: str) -> None:
    world, target = things_world(legacy_db, target_db, owners="usual"), _runner(target_db)
    _runner(legacy_db)("update things set kind = 'nowhere' where id in (3, 4)")
    change = "update shop.\"Things\" set note = 'mine' where legacy_id = 3"
    with armed({"bulk.made": Do(lambda: target(change))}):
        done = run(world, "first")
    assert done.outcome.status == "failed"
    assert target('select note from shop."Things" where legacy_id in (3, 4)') == [("mine",)]
    assert "kept_kind" in str(target("select cause from hybrid_sync.run_failure"))


NOT_SO = {
    "a trigger fires": "create function shop.t() returns trigger language plpgsql as 'begin return new; end';"
    ' create trigger t before insert on shop."Things" for each row execute function shop.t()',
    "a publication": 'create publication p for table shop."Things"',
    "inherited": 'create table shop.below () inherits (shop."Things")',
    "forces row security": 'alter table shop."Things" force row level security;'
    ' create policy all_of_it on shop."Things" using (true)',
    "install": "delete from hybrid_sync.bulk_table where entity = 'things'",
    "another session used it": "",
    "": 'insert into owners (id) values (gen_random_uuid()); insert into shop."Things" (id, owner_id)'
    " select id, id from owners",
}


@pytest.mark.parametrize("why", NOT_SO)
def test_a_table_that_may_be_in_use_is_loaded_as_usual_and_a_sentence_says_why(
    bulk_world: EngineWorld, target: Query, target_db: str, why: str
) -> None:
    with psycopg.connect(target_db) as other:
        if why == "another session used it":
            other.execute('select from shop."Things"')
        else:
            target(NOT_SO[why])
        before, look = target(SHAPE), Look(lambda: target(SHAPE))
        with armed({"batch.claimed": look}):
            assert run(bulk_world, "first").outcome.status == "succeeded"
    assert [row for row in look.seen if "Things" in row[0]] == [row for row in before if "Things" in row[0]]
    assert target(SHAPE) == before
    [(said,)] = target("select warnings from hybrid_sync.run_entity where entity = 'things'")
    assert (why in str(said)) if why else said is None


def test_a_table_of_another_owner_is_loaded_as_usual(legacy_db: str, target_db: str, projects: Projects) -> None:
    world = things_world(legacy_db, target_db)
    target = _runner(target_db)
    superuser = projects.server.dsn(conninfo_to_dict(target_db)["dbname"])
    target("grant usage, create on schema shop to service_role")
    _runner(superuser)('alter table shop."Things" owner to service_role')
    install(superuser, PASSWORD, world.catalog)
    before = target(SHAPE)
    assert target("select entity from hybrid_sync.bulk_table") == [("owners",)]
    assert run(world, "first").outcome.status == "succeeded"
    assert target(SHAPE) == before
    [(said,)] = target("select warnings from hybrid_sync.run_entity where entity = 'things'")
    assert "owner" in str(said)


def test_a_worker_can_begin_nothing_but_what_was_recorded_and_write_no_statement(
    bulk_world: EngineWorld, target: Query, legacy: Query
) -> None:
    target("insert into kinds values ('c')")
    refused = [
        "insert into hybrid_sync.bulk_table (entity, relation) values ('kinds', 'kinds'::regclass)",
        "update hybrid_sync.bulk_table set relation = 'kinds'::regclass",
        "delete from hybrid_sync.bulk_table",
        "insert into hybrid_sync.bulk_part (entity, n, name, definition, proven)"
        " values ('things', 1, 'x', 'grant postgres to hybrid_sync_worker', false)",
        "update hybrid_sync.bulk_part set definition = 'drop table kinds'",
        "truncate hybrid_sync.bulk_part",
        'drop index shop."by Size"',
        'alter table shop."Things" drop constraint kept_kind',
        "create table hybrid_sync.mine ()",
    ]
    for statement in refused:
        with bulk_world.connect_target() as worker, pytest.raises(psycopg.errors.InsufficientPrivilege):
            worker.execute(statement.encode())
    begin = "select hybrid_sync.begin_bulk(%s, %s)"
    with bulk_world.connect_target() as worker:
        assert worker.execute(begin, ("first", "things")).fetchall() == [("ended",)], "there is no such run"
    assert run(bulk_world, "first").outcome.status == "succeeded"
    before = target(SHAPE)
    target("update hybrid_sync.run set status = 'running'")
    target("update hybrid_sync.fence set fence = null")
    answers = {
        "things": "filled",
        "kinds": "unrecorded",
        'shop."Things"': "unrecorded",
        "kinds; drop table x": "unrecorded",
    }
    with bulk_world.connect_target() as worker:
        for name, answered in answers.items():
            assert worker.execute(begin, ("first", name)).fetchall() == [(answered,)]
        assert worker.execute("select hybrid_sync.end_bulk('things')").fetchall() == [(None,)]
        assert worker.execute("select * from hybrid_sync.prove_bulk('things', 0)").fetchall() == [(None, None, None)]
    assert target(SHAPE) == before


def test_names_are_looked_up_where_nobody_else_can_put_any(bulk_world: EngineWorld, target: Query) -> None:
    pinned = target(
        "select p.proname, p.proconfig from pg_proc p"
        " where p.pronamespace = 'hybrid_sync'::regnamespace and p.prosecdef"
    )
    assert all("search_path=pg_catalog, pg_temp" in config for _, config in pinned)
    assert {"begin_bulk", "end_bulk", "prove_bulk", "unproven_rows"} <= {name for name, _ in pinned}
    assert target(
        "select count(*) from pg_proc p where p.pronamespace = 'hybrid_sync'::regnamespace"
        " and has_function_privilege('anon', p.oid, 'execute') and p.proname like '%bulk%'"
    ) == [(0,)]
