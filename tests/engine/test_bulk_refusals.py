"""Which tables a first load may take apart, and what a worker can make of the functions that do it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.contracts import RunRequest
from hybrid_sync.failpoints import armed
from hybrid_sync.schema.bulk import filled
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_run import plan_run
from tests.conftest import PASSWORD
from tests.engine.bulk import SHAPE, Look, things_world
from tests.engine.bulk import the_legacy as the_legacy
from tests.engine.bulk import the_target as the_target
from tests.engine.bulk import the_world as the_world
from tests.engine.conftest import Query, _runner
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects

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


def test_nobody_is_kept_from_tables_that_have_rows(bulk_world: EngineWorld, target: Query, target_db: str) -> None:
    """What a first load would take apart is asked of an empty table alone, since only there its lock is needed."""
    target(NOT_SO[""])
    with psycopg.connect(target_db) as reader:
        reader.execute('select from shop."Things", owners')
        assert run(bulk_world, "first").outcome.status == "succeeded"
    said = target("select entity, warnings from hybrid_sync.run_entity order by entity")
    assert said == [("owners", None), ("things", None)], "its lock was not even tried"


def test_rows_of_a_load_that_is_under_way_make_no_table_in_use(bulk_world: EngineWorld, target: Query) -> None:
    """A repeated delivery of the plan comes when pages have been written, and must answer as the first one did."""
    plan_run(bulk_world, RunRequest(run_id="first"))
    target(NOT_SO[""])
    with bulk_world.connect_target() as worker:
        assert filled(worker, bulk_world.catalog, ("owners", "things")) == set()
        target("update hybrid_sync.bulk_table set run_id = null")
        assert filled(worker, bulk_world.catalog, ("owners", "things")) == {"owners", "things"}


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
