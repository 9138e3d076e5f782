"""What a first load must not take apart, because it might not come back; and what it leaves behind."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import FailureMessage, Profile, RunRequest
from hybrid_sync.failpoints import FailpointRaised, Raise, armed
from hybrid_sync.schema.bulk import begin
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_run import plan_run
from hybrid_sync.steps.retry_failure import retry_failure
from tests.engine.bulk import LEFT, ROWS, SHAPE, Do, Look
from tests.engine.bulk import the_legacy as the_legacy
from tests.engine.bulk import the_target as the_target
from tests.engine.bulk import the_world as the_world
from tests.engine.conftest import Query, _runner
from tests.engine.small import entity, small_world
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects

LEGACY = """
create table owners (id int primary key);
create table things (id int primary key, size int, big text);
insert into things select n, n from generate_series(1, 50) n;
update things set big = (select string_agg(md5(g::text), '') from generate_series(1, 900) g) where id = 7;
"""
TARGET = """
create schema shop;
create table owners (id uuid primary key, legacy_id int unique);
create table shop."Things" (
  id uuid primary key, legacy_id int unique, size int, big text, twice int generated always as (size * 2) stored);
create index on shop."Things" (size);
create index on shop."Things" (twice);
"""
TROUBLE = (
    'create index troubled on shop."Things" (big)',
    'create index troubled on shop."Things" ((1000 / (size - 7)))',
    'create index troubled on shop."Things" (size) where 1000 / (size - 7) > 2',
)
WARNED = "select coalesce(warnings::text, '') from hybrid_sync.run_entity where entity = 'things' and run_id = %s"


@pytest.mark.parametrize("trouble", TROUBLE)
def test_an_index_into_which_some_row_may_not_fit_stays_and_costs_that_row(
    legacy_db: str, target_db: str, trouble: str
) -> None:
    things = entity("things", columns={"size": "a.size", "big": "a.big"})
    world = small_world(
        legacy_db, target_db, LEGACY, TARGET + trouble, {**things, "target": 'shop."Things"', "first_load": "bulk"}
    )
    target = _runner(target_db)
    before, look = target(SHAPE), Look(lambda: target(SHAPE))
    with armed({"batch.claimed": look}):
        done = run(world, "first")
    assert done.outcome.summary["inserted"] == 49
    assert len(look.seen) == len(before) - 4, "the two others, and the primary key, were made afterwards"
    assert [row[0] for row in look.seen if "troubled" in row[0]] == ["shop.troubled"]
    assert target(SHAPE) == before
    assert target("select key::text, status from hybrid_sync.failed_record") == [("{7}", "open")]


def test_the_planner_knows_the_table_afterwards(bulk_world: EngineWorld, target: Query) -> None:
    for name in ("owners", 'shop."Things"'):  # nobody else looks
        target(f"alter table {name} set (autovacuum_enabled = false)")
    run(bulk_world, "first")
    known = (
        "select reltuples::int from pg_class where oid in ('owners'::regclass, 'shop.\"Things\"'::regclass) order by 1"
    )
    assert target(known) == [(40,), (400,)]
    assert target("select n_distinct from pg_stats where tablename = 'Things' and attname = 'kind'") == [(1.0,)]
    # No index holds a name, so autovacuum looks at it when it comes: it still counts all rows as not looked at.
    looked_at = target("select attname::text from pg_stats where tablename = 'owners' order by 1")
    assert looked_at == [("first_thing",), ("id",), ("legacy_id",)]


def test_a_transaction_that_sees_the_table_as_it_was_begins_nothing(bulk_world: EngineWorld, target: Query) -> None:
    target("update hybrid_sync.fence set fence = null")
    plan_run(bulk_world, RunRequest(run_id="first", profile=Profile.on_demand, entities=("owners",)))
    before = target(SHAPE)
    with bulk_world.connect_target() as worker:
        worker.execute("begin isolation level repeatable read")
        said = begin(worker, bulk_world.catalog, "first", "things")
    assert said == "the transaction sees the table as it was earlier"
    assert target(SHAPE) == before


def test_a_table_that_two_entities_fill_is_loaded_as_usual(
    bulk_world: EngineWorld, target: Query, target_db: str
) -> None:
    other = bulk_world.catalog["things"].model_copy(update={"entity": "others"})
    shared = Catalog({**bulk_world.catalog.entities, "others": other})
    install(target_db, "only-for-tests", shared)
    assert target("select entity from hybrid_sync.bulk_table") == [("owners",)]
    with bulk_world.connect_target() as worker:
        assert begin(worker, shared, "first", "things") == "another entity of the catalog fills it, too"


EVENTS = """
create function public.{name}() returns event_trigger language plpgsql security definer as $$ begin {body} end $$;
create event trigger {name} on ddl_command_end when tag in ({tags}) execute function public.{name}();
"""
KINDS = {
    "otherwise": ("'COMMENT'", "update pg_description set description = 'seen' where description like 'who has%';",
                  "would not come back exactly"),
    "refused": ("'CREATE INDEX'", "raise exception 'not in working hours';", "did not make them again"),
    "watched": ("'CREATE INDEX', 'ALTER TABLE'", "notify pgrst, 'reload schema';", ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_event_triggers_have_their_say_before_anything_is_gone(
    bulk_world: EngineWorld, target: Query, target_db: str, projects: Projects, kind: str
) -> None:
    """Supabase's own tell PostgREST of each change; others may forbid it, or change what is made."""
    tags, body, told = KINDS[kind]
    superuser = _runner(projects.server.dsn(conninfo_to_dict(target_db)["dbname"]))
    superuser(EVENTS.format(name=f"on_{kind}", body=body, tags=tags))
    before, look = target(SHAPE), Look(lambda: target(SHAPE))
    with armed({"batch.claimed": look}):
        assert run(bulk_world, "first").outcome.status == "succeeded"
    if told:
        assert [row for row in look.seen if "Things" in row[0]] == [row for row in before if "Things" in row[0]]
    assert told in target(WARNED, "first")[0][0]
    assert target(SHAPE) == before


def test_a_table_whose_columns_have_new_types_meanwhile_stops_nobody_else(
    bulk_world: EngineWorld, target: Query, legacy: Query
) -> None:
    """The server cannot make the index as it was; a person says how it is to be."""
    with armed({"batch.committed": Raise()}), suppress(FailpointRaised):
        run(bulk_world, "first")
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    target('alter table shop."Things" alter tags type json')
    assert run(bulk_world, "second", entities=["owners"]).outcome.status == "succeeded"
    assert target("select name from hybrid_sync.bulk_part where made_at is null and parent is null") == [("tagged",)]
    target('create index tagged on shop."Things" (size)')
    third = run(bulk_world, "third")
    assert third.outcome.status == "succeeded"
    assert target(LEFT) == [(0,)]
    assert target(ROWS) == [(40, 400)]
    assert target("select pg_get_indexdef('shop.tagged'::regclass)") == [
        ('CREATE INDEX tagged ON shop."Things" USING btree (size)',)
    ]


def test_a_retry_ends_what_was_left_open_before_it_writes(
    bulk_world: EngineWorld, target: Query, legacy: Query
) -> None:
    before = target(SHAPE)
    legacy("update things set kind = 'nowhere' where id = 3")
    run(bulk_world, "first")
    message = FailureMessage(
        run_id="first", entity="things", source="things", reason="foreign_key_violation", keys=((3,),)
    )
    target('truncate shop."Things" cascade; update hybrid_sync.fence set fence = null')
    plan_run(bulk_world, RunRequest(run_id="again", profile=Profile.daily))
    assert target(LEFT) != [(0,)]
    target("update hybrid_sync.run set status = 'lost' where status = 'running'")
    assert retry_failure(bulk_world, message).failed == 1, "the foreign key keeps it away, as ever"
    assert target(LEFT) == [(0,)]
    assert target(SHAPE) == before


def test_people_who_depend_on_the_table_lose_nothing(bulk_world: EngineWorld, target: Query, target_db: str) -> None:
    """A view that groups by the primary key, a native table that refers to it, row security, a reader at work."""
    target(
        'create view grouped as select t.id, t.note, count(*) from shop."Things" t group by t.id;'
        ' create materialized view kept as select * from shop."Things";'
        ' create table likes (thing uuid references shop."Things" on delete cascade);'
        ' alter table shop."Things" enable row level security; create policy p on shop."Things" using (true);'
        ' create statistics s on size, kind from shop."Things"'
    )
    before = target(SHAPE)
    read = Do(lambda: target('insert into likes select id from shop."Things" limit 5'))
    with armed({"batch.committed": read}), psycopg.connect(target_db) as reader:
        reader.execute("select from kinds limit 0")
        reader.rollback()
        assert run(bulk_world, "first").outcome.status == "succeeded"
    assert target(SHAPE) == before
    assert target("select count(*) from grouped") == [(400,)]
    assert target("select count(*) from pg_statistic_ext") == [(1,)]
