"""Attempts to become more than one is: as the worker, as roles that the API logs in with; each is refused."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.errors import RequestRejected
from hybrid_sync.schema.install import install
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

_FORGED = """
create temp table pg_constraint as select * from pg_catalog.pg_constraint;
create temp table pg_operator as select * from pg_catalog.pg_operator;
create temp table pg_namespace as select * from pg_catalog.pg_namespace;
create temp table pg_attribute as select attrelid, attnum, attname from pg_catalog.pg_attribute;
alter table pg_operator alter column oprname type text;
update pg_operator set oprname = '=) c.id and pg_temp.become() is null --' where oprname = '=';
create function pg_temp.become() returns text language plpgsql as
  $$ begin execute 'alter role hybrid_sync_worker superuser'; return current_user; end $$;
"""


def test_temporary_tables_named_like_catalogs_do_not_stand_in_for_them(world: EngineWorld, target: Query) -> None:
    run(world, "first")
    visited = target("select distinct person_id from visits where person_id is not null")
    with psycopg.connect(world.target_dsn, autocommit=True) as worker:
        worker.execute(_FORGED)
        ids = [row[0] for row in visited]
        found = worker.execute(
            "select distinct id from hybrid_sync.referring('public.people', %s, '{}'::jsonb)", (ids,)
        ).fetchall()
        assert sorted(found) == sorted(visited)
        referred = worker.execute("select distinct id from hybrid_sync.referred('public.people', %s)", (ids,))
        assert sorted(referred.fetchall()) == sorted(visited)
        worker.execute("select hybrid_sync.ensure_journal_partition(now())")
    assert target("select rolsuper, rolcreaterole, rolcreatedb from pg_roles where rolname = 'hybrid_sync_worker'") == [
        (False, False, False)
    ]


@pytest.mark.parametrize(
    "attempt",
    [
        "set role postgres",
        "create table public.mine (x int)",
        "create table hybrid_sync.mine (x int)",
        "create function public.mine() returns int language sql as 'select 1'",
        "create extension hstore",
        "alter table public.people disable row level security",
        "alter table public.people add column mine text",
        "create trigger mine before insert on public.people for each row execute function"
        " pg_catalog.suppress_redundant_updates_trigger()",
        "truncate public.people",
        "select * from auth.users",
        "copy public.people to program 'true'",
        "select pg_read_file('/etc/passwd')",
        "alter role hybrid_sync_worker superuser",
        "alter role hybrid_sync_worker createrole",
        "create role mine superuser",
        "alter function hybrid_sync.referring(regclass, uuid[], jsonb) security invoker",
        "drop table hybrid_sync.run",
        "update pg_catalog.pg_authid set rolsuper = true",
        "alter database postgres set search_path = evil",
    ],
)
def test_the_worker_cannot(attempt: str, world: EngineWorld) -> None:
    with (
        psycopg.connect(world.target_dsn, autocommit=True) as worker,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType)),
    ):
        worker.execute(attempt.encode())


def test_the_roles_of_the_api_reach_nothing_of_ours(world: EngineWorld, target: Query) -> None:
    assert target("""
        select r, 'schema' from unnest(array['anon', 'authenticated', 'service_role']) r
        where has_schema_privilege(r, 'hybrid_sync', 'usage') or has_schema_privilege(r, 'hybrid_sync', 'create')
        union all
        select r, c.relname from unnest(array['anon', 'authenticated', 'service_role']) r, pg_class c
        where c.relnamespace = 'hybrid_sync'::regnamespace and c.relkind in ('r', 'p', 'S')
          and case when c.relkind = 'S' then has_sequence_privilege(r, c.oid, 'usage, select, update')
                   else has_table_privilege(r, c.oid, 'select, insert, update, delete, truncate') end
        union all
        select r, p.proname from unnest(array['anon', 'authenticated', 'service_role']) r, pg_proc p
        where p.pronamespace = 'hybrid_sync'::regnamespace and has_function_privilege(r, p.oid, 'execute')
        """) == []  # fmt: skip


def test_every_function_that_runs_with_its_owners_rights_names_its_path(world: EngineWorld, target: Query) -> None:
    assert target("""
        select proname from pg_proc where pronamespace = 'hybrid_sync'::regnamespace and prosecdef
          and not coalesce(proconfig @> array['search_path=pg_catalog, pg_temp'], false)
        """) == []  # fmt: skip


def test_the_workers_password_is_never_sent_in_clear(world: EngineWorld, target_db: str, target: Query) -> None:
    secret = "a-password-that-must-not-be-logged"
    sent: list[str] = []
    plain = psycopg.Cursor.execute

    def spy(cursor: psycopg.Cursor[object], query: object, *arguments: object, **options: object) -> object:
        sent.append(query.as_string(cursor) if isinstance(query, psycopg.sql.Composable) else str(query))
        return plain(cursor, query, *arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", spy)
        try:
            install(target_db, secret, world.catalog, new_password=True)
        finally:
            patch.undo()
            install(target_db, "only-for-tests", world.catalog, new_password=True)
    assert any("SCRAM-SHA-256$" in text for text in sent)
    assert not any(secret in text for text in sent)


def test_an_install_does_not_lock_another_deployment_out(world: EngineWorld, target_db: str) -> None:
    with pytest.raises(RequestRejected, match="another deployment may use it"):
        install(target_db, "another password", world.catalog)
    run(world, "first")
