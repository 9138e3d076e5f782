"""What others put where names are looked up: operators, functions and tables of the same name never run as we.

The worker's own search_path leads through a schema that anybody can fill, as `public` once could.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.contracts import RollbackTask
from hybrid_sync.errors import StructureMismatch, TargetUnavailable
from hybrid_sync.failpoints import armed
from hybrid_sync.postgres import Connection, connect, transaction
from hybrid_sync.schema.install import WORKER, install
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from tests.conftest import PASSWORD
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run


class StrictCursor(psycopg.Cursor[tuple[Any, ...]]):
    """Outside a transaction a statement would run under whatever search_path and limits the session has."""

    def execute(self, query: Any, *arguments: Any, **options: Any) -> StrictCursor:
        idle = self.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        begins = isinstance(query, bytes) and query.startswith(b"begin")
        assert begins or not idle, "a statement for the target outside a transaction"
        super().execute(query, *arguments, **options)
        return self


class StrictWorld(EngineWorld):
    def connect_target(self) -> Connection:
        connection = connect(self.target_dsn, "target")
        connection.cursor_factory = StrictCursor
        return connection


# Exact matches for what our statements say with pg_catalog's polymorphic or wider ones; each would tell who called it.
_TRAP = """
create table evil.caught (what text, who text);
grant insert on evil.caught to public;
create function evil.spring(what text) returns boolean language plpgsql volatile as $$
begin insert into evil.caught values (what, current_user); return true; end $$;
create function evil.eq(a numeric, b bigint) returns boolean language sql as
  $$ select evil.spring('numeric = bigint') $$;
create operator evil.= (leftarg = numeric, rightarg = bigint, function = evil.eq);
create function evil.eq(a bigint[], b bigint[]) returns boolean language sql as
  $$ select evil.spring('int8[] = int8[]') $$;
create operator evil.= (leftarg = bigint[], rightarg = bigint[], function = evil.eq);
create function evil.eq(a uuid, b uuid) returns boolean language sql as $$ select evil.spring('uuid = uuid') $$;
create operator evil.= (leftarg = uuid, rightarg = uuid, function = evil.eq);
create function evil.eq(a text, b text) returns boolean language sql as $$ select evil.spring('text = text') $$;
create operator evil.= (leftarg = text, rightarg = text, function = evil.eq);
create function evil.unnest(bigint[]) returns setof bigint language sql as
  $$ select 1::bigint where evil.spring('unnest') $$;
create function evil.cardinality(bigint[]) returns int language sql as
  $$ select 1 where evil.spring('cardinality') $$;
create function evil.hashtext(text) returns int language sql as $$ select 1 where evil.spring('hashtext') $$;
create function evil.pg_advisory_xact_lock(int) returns void language sql as
  $$ insert into evil.caught values ('pg_advisory_xact_lock', current_user) $$;
create function evil.set_config(text, text, boolean) returns text language sql as
  $$ select 'x' where evil.spring('set_config') $$;
create function evil.to_jsonb(text) returns jsonb language sql as
  $$ select null::jsonb where evil.spring('to_jsonb') $$;
create table evil.pg_roles (rolname text, rolbypassrls boolean, rolsuper boolean);
create table evil.pg_tables (tablename text, schemaname text);
"""


@pytest.fixture
def strict(world: EngineWorld) -> EngineWorld:
    return StrictWorld(world.catalog, world.legacy_dsn, world.target_dsn)


@pytest.fixture
def trap(target_db: str, world: EngineWorld, target: Query) -> None:
    """A schema before ours on the worker's path, and on that of the owner who installs."""
    with psycopg.connect(target_db, autocommit=True) as connection:
        connection.execute("create schema evil")
        connection.execute("grant usage, create on schema evil to public")
        connection.execute(_TRAP.encode())
        name = connection.info.dbname
        for role in (WORKER, "postgres"):
            connection.execute(
                sql.SQL("alter role {} in database {} set search_path = evil, pg_catalog, public, extensions").format(
                    sql.Identifier(role), sql.Identifier(name)
                )
            )


def test_nothing_that_stands_before_pg_catalog_is_called_by_a_run_or_an_undo(
    strict: EngineWorld, legacy: Query, target: Query, trap: None
) -> None:
    first = run(strict, "first")
    assert first.outcome.status in ("succeeded", "degraded")
    legacy("update person set email = 'x' || email where id <= 3")
    legacy("update visit set note = 'forbidden' where id = 2")
    legacy("delete from grant_of where person_id = 4 and right_id = 3")
    run(strict, "second")
    for message in strict.failure_queue.messages:
        retry_failure(strict, message)
    outcome = rollback_run(strict, RollbackTask(run_id="second"))
    while outcome.more:
        outcome = rollback_run(strict, RollbackTask(run_id="second", rollback_id=outcome.rollback_id))
    run(strict, "third", profile="verify")
    assert outcome.undone.updated >= 3
    assert target("select distinct what, who from evil.caught") == []


def test_nothing_that_stands_before_pg_catalog_is_called_by_an_install(
    strict: EngineWorld, target_db: str, target: Query, trap: None
) -> None:
    target("drop schema hybrid_sync cascade")
    install(target_db, PASSWORD, strict.catalog)
    assert target("select distinct what, who from evil.caught") == []


def test_triggers_of_the_target_run_under_the_path_that_the_database_gives(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    target("create schema if not exists extensions")
    target("grant usage on schema extensions to public")
    target("create function extensions.short_code() returns text language sql as $$ select 'code' $$")
    target("alter table people add column code text, add column after_code text")
    target(
        "create function give_code() returns trigger language plpgsql as"
        " $$ begin new.code := short_code() || coalesce(new.code, ''); return new; end $$;"
    )
    target("create trigger give_code before insert or update on people for each row execute function give_code()")
    target(
        "create function look_at_code() returns trigger language plpgsql as"
        " $$ begin perform short_code() from people; return null; end $$;"
    )
    target(
        "create constraint trigger look_at_code after insert or update on people"
        " deferrable initially deferred for each row execute function look_at_code()"
    )
    # Rows of a table without triggers are copied; a default is computed under the path as well.
    target(
        "create function seen_path() returns text language plpgsql as"
        " $$ begin return current_setting('search_path'); end $$;"
    )
    target("alter table invoices add column path text default null, alter column path set default seen_path()")
    first = run(world, "first")
    assert first.total("people")["failed"] == 0
    assert target("select count(*), count(code) from people where legacy_id is not null") == [(12, 12)]
    legacy("update person set email = 'x' || email")
    second = run(world, "second")
    assert second.total("people")["failed"] == 0
    assert target("select count(*) from people where legacy_id is not null and code like 'codecode%'") == [(12,)]
    assert target("select count(*) filter (where path like '%pg_temp%'), count(path) > 0 from invoices") == [(0, True)]


def test_checks_of_the_target_run_under_the_path_that_the_database_gives(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """Of a table without triggers, whose rows are changed in one statement."""
    run(world, "first")
    target("create schema if not exists extensions")
    target("grant usage on schema extensions to public")
    target("create function extensions.short_code() returns text language sql as $$ select 'code' $$")
    target("create function lawful() returns bool language plpgsql as $$ begin return short_code() = 'code'; end $$;")
    target("alter table visits add check (lawful())")
    legacy("update visit set note = 'after the check' where id = 1")
    with armed({}) as seen:
        run(world, "second")
    assert target("select note from visits where legacy_id = 1") == [("after the check",)]
    assert seen.passed["batch.isolating"] == 0  # one by one rows come as far under any path


def test_what_a_change_cascades_to_runs_under_the_path_that_the_database_gives(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    """It fires at the end of our statement, when the journal has been written under our own path."""
    legacy("update visit set note = 'note ' || id where id <> 2")
    run(world, "first")
    target("create schema if not exists extensions")
    target("grant usage on schema extensions to public")
    target("create function extensions.short_code() returns text language sql as $$ select 'code' $$")
    target("create unique index noted on visits (note)")
    target("create table label (note varchar(60) references visits (note) on update cascade, code text)")
    target("insert into label values ('note 1')")
    target(
        "create function give_code() returns trigger language plpgsql as"
        " $$ begin new.code := short_code(); return new; end $$;"
    )
    target("create trigger give_code before update on label for each row execute function give_code()")
    legacy("update visit set note = 'another' where id = 1")
    with armed({}) as seen:
        run(world, "second")
    assert target("select note, code from label") == [("another", "code")]
    assert seen.passed["batch.isolating"] == 0


def test_a_target_that_takes_no_writes_is_named_and_tried_again(world: EngineWorld, target_db: str) -> None:
    with psycopg.connect(target_db, autocommit=True) as connection:
        connection.execute(
            sql.SQL("alter role {} in database {} set default_transaction_read_only = on").format(
                sql.Identifier(WORKER), sql.Identifier(connection.info.dbname)
            )
        )
    with (
        world.connect_target() as target,
        pytest.raises(TargetUnavailable, match="25006") as raised,
        transaction(target, "target"),
    ):
        target.execute("delete from hybrid_sync.wrong_id")
    assert raised.value.transient
    assert "in the settings of our role in this database" in str(raised.value)
    assert f'alter role "{WORKER}" in database' in str(raised.value)


def test_an_expression_of_legacy_that_writes_is_no_full_disk(world: EngineWorld, legacy: Query) -> None:
    legacy("create sequence numbers")
    with (
        world.connect_legacy() as connection,
        pytest.raises(StructureMismatch, match="computes there writes"),
        transaction(connection, "legacy", read_only=True),
    ):
        connection.execute("select nextval('public.numbers')")


def test_the_status_of_runs_can_be_read_where_nothing_can_be_written(world: EngineWorld, target_db: str) -> None:
    run(world, "first")
    with psycopg.connect(target_db, autocommit=True) as connection:
        connection.execute(
            sql.SQL("alter role {} in database {} set default_transaction_read_only = on").format(
                sql.Identifier(WORKER), sql.Identifier(connection.info.dbname)
            )
        )
    with world.connect_target() as target, transaction(target, "target", read_only=True):
        assert target.execute("select count(*) from hybrid_sync.run").fetchone() == (1,)
