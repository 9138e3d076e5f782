"""Legacy shows all that it has, or the run stops: row security, views, and relations that are others than before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import RunRequest
from hybrid_sync.errors import MissingPrivilege, StructureMismatch, SyncError
from hybrid_sync.failpoints import armed
from hybrid_sync.schema.install import install
from hybrid_sync.steps.plan_run import plan_run
from tests.conftest import PASSWORD
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

READER = "whole_reader"
"""May read every table of legacy; owns none and does not bypass row security."""
FILTER = "alter table note enable row level security; create policy half on note for select using (id <= 20)"


def catalog(body: str = "n.body", source: dict[str, str] | None = None, **more: Any) -> Catalog:
    read = {"from": "note n", "key": {"legacy_id": "n.id"}, "columns": {"body": body}} | (source or {})
    notes = Entity.model_validate(
        {
            "entity": "notes", "target": "notes", "on_delete": {"policy": "hard"},
            "sources": {"note": read}, **more,
        }
    )  # fmt: skip
    return Catalog({"notes": notes})


@pytest.fixture
def world(legacy_db: str, target_db: str) -> Iterator[EngineWorld]:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute(
            "create table note (id int primary key, body text, updated_at timestamptz default '2020-01-01Z');"
            " insert into note select i, 'note ' || i from generate_series(1, 40) i;"
            f" create role {READER} login password '{PASSWORD}';"
            f" grant pg_read_all_data, pg_read_all_stats to {READER}".encode()
        )
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("create table notes (id uuid primary key, legacy_id bigint unique, body text)")
    yield EngineWorld(
        catalog(), make_conninfo(legacy_db, user=READER, password=PASSWORD), install(target_db, PASSWORD, catalog())
    )
    with psycopg.connect(legacy_db, autocommit=True) as connection:
        connection.execute(sql.SQL("drop owned by {role}; drop role {role}").format(role=sql.Identifier(READER)))


def refused(world: EngineWorld, target: Query, kind: type[SyncError], *texts: str) -> None:
    """Planning leaves the entity out, and records why."""
    run_id = f"refused-{target('select count(*) from hybrid_sync.run')[0][0]}"
    assert plan_run(world, RunRequest(run_id=run_id)).entities == ()
    [(failure,)] = target("select failure from hybrid_sync.run_entity where run_id = %s", run_id)
    assert failure["code"] == kind.code
    for text in texts:
        assert text in failure["text"]


def detection(target: Query, run_id: str) -> tuple[Any, ...]:
    return target("select detection, detection_reason from hybrid_sync.run_entity where run_id = %s", run_id)[0]


# --- row security ----------------------------------------------------------------------------------------------------


def test_row_security_is_refused_by_name_and_nothing_is_deleted(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    run(world, "first")
    legacy(FILTER)
    refused(world, target, MissingPrivilege, "Row security hides rows of note", "BYPASSRLS")
    assert target("select count(*) from notes") == [(40,)]


@pytest.mark.parametrize(
    "filtered",
    [
        "alter table note enable row level security; create policy whole on note using (true)",
        "alter table note enable row level security",
        f"alter table note owner to {READER}; alter table note force row level security; {FILTER}",
    ],
)
def test_row_security_that_hides_nothing_yet_or_binds_the_owner_is_refused_too(
    world: EngineWorld, legacy: Query, target: Query, filtered: str
) -> None:
    legacy(filtered)
    refused(world, target, MissingPrivilege, "Row security hides rows of note")


@pytest.mark.parametrize(
    "open_to_us",
    [f"alter role {READER} bypassrls; {FILTER}", f"alter table note owner to {READER}; {FILTER}"],
)
def test_who_sees_every_row_is_let_through(world: EngineWorld, legacy: Query, target: Query, open_to_us: str) -> None:
    legacy(open_to_us)
    assert run(world, "first").outcome.status == "succeeded"
    assert target("select count(*) from notes") == [(40,)]


def test_row_security_of_a_partition_alone_filters_nothing(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("alter table note rename to old; create table note (id int, body text) partition by range (id)")
    legacy(
        "create table part partition of note for values from (0) to (100); insert into note select id, body from old"
    )
    legacy("alter table part enable row level security")
    assert run(world, "first").outcome.status == "succeeded"
    assert target("select count(*) from notes") == [(40,)]


@pytest.mark.parametrize(
    "hidden",
    [
        "create view shown with (security_invoker) as select * from note",
        f"create view shown as select * from note; alter view shown owner to {READER}",
    ],
)
def test_row_security_behind_a_view_is_an_error(world: EngineWorld, legacy: Query, target: Query, hidden: str) -> None:
    if "security_invoker" in hidden and legacy("show server_version_num")[0][0] < "150000":
        hidden = hidden.replace(" with (security_invoker)", f"; alter view shown owner to {READER}")
    legacy(f"{FILTER}; {hidden}; grant select on shown to {READER}")
    source = {"from": "shown n", "changed_at": "n.updated_at"}
    world.catalog = catalog(source=source, detect="timestamp", view_is_whole="it has no filter")
    refused(world, target, MissingPrivilege, "row security", "BYPASSRLS")


def test_row_security_of_a_table_in_a_subquery_is_an_error(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("create table secret (id int, body text)")
    legacy("alter table secret enable row level security")
    world.catalog = catalog("(select max(s.body) from public.secret s where s.id = n.id)")
    refused(world, target, MissingPrivilege, "row security", "BYPASSRLS")


def test_row_security_that_begins_after_the_plan_stops_the_batch(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    class Begin:
        def fire(self, name: str, connections: object) -> None:
            legacy(f"{FILTER}")

    with armed({"plan.recorded": Begin()}):
        done = run(world, "first", profile="daily")
    assert done.outcome.status == "failed"
    assert target("select count(*) from notes") == [(0,)]
    [(failure,)] = target("select failure from hybrid_sync.run_entity")
    assert failure["code"] == "missing_privilege"


# --- views -----------------------------------------------------------------------------------------------------------


def test_a_view_needs_the_reason_why_it_is_whole(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("create view shown as select * from note where id <= 20")
    source = {"from": "shown n", "changed_at": "n.updated_at"}
    world.catalog = catalog(source=source, detect="timestamp")
    refused(world, target, StructureMismatch, "shown is a view", "`view_is_whole`")
    world.catalog = catalog(source=source)
    refused(world, target, StructureMismatch, "shown is a view", "`detect: timestamp`")
    world.catalog = catalog(source=source, detect="timestamp", view_is_whole="the rest is older than our time")
    assert run(world, "first").outcome.status == "succeeded"
    assert target("select count(*) from notes") == [(20,)]


def test_a_view_that_is_defined_anew_is_read_whole_once(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("create view shown as select id, body, updated_at from note")
    source = {"from": "shown n", "changed_at": "n.updated_at"}
    world.catalog = catalog(source=source, detect="timestamp", view_is_whole="it has no filter")
    run(world, "first", profile="daily")
    legacy("create or replace view shown as select id, upper(body) as body, updated_at from note")
    run(world, "second", profile="daily")
    assert detection(target, "second") == ("full", "definition_changed")
    assert target("select body from notes where legacy_id = 7") == [("NOTE 7",)]


# --- others than before -----------------------------------------------------------------------------------------------


def test_a_table_that_takes_the_place_of_another_is_read_whole_once(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("create table note_new (like note including all)")
    legacy("insert into note_new select id, 'better', updated_at from note")
    run(world, "first", profile="daily")
    legacy("alter table note rename to note_old; alter table note_new rename to note")
    run(world, "second", profile="daily")
    assert detection(target, "second") == ("full", "definition_changed")
    assert target("select distinct body from notes") == [("better",)]
    run(world, "third", profile="daily")
    assert detection(target, "third") == ("fence", "")


def test_an_attached_partition_is_read_whole_once(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("alter table note rename to old; create table note (id int, body text) partition by range (id)")
    legacy("create table a (id int, body text) partition by range (id)")
    legacy("alter table note attach partition a for values from (0) to (100)")
    legacy("create table b (id int, body text); insert into b select id, body from old")
    run(world, "first", profile="daily")
    legacy("alter table a attach partition b for values from (0) to (50)")
    assert run(world, "second", profile="daily").outcome.status == "succeeded"
    assert target("select count(*) from notes") == [(40,)]


@pytest.mark.parametrize("type_", ["mood", "feeling", "mood[]"])
def test_a_renamed_enum_label_is_seen_by_a_daily_run(
    world: EngineWorld, legacy: Query, target: Query, type_: str
) -> None:
    legacy("create type mood as enum ('good', 'bad'); create domain feeling as mood")
    legacy(f"alter table note add mood {type_} default '{'{good}' if '[' in type_ else 'good'}'")
    world.catalog = catalog("n.mood::text")
    run(world, "first", profile="daily")
    legacy("alter type mood rename value 'good' to 'fine'")
    run(world, "second", profile="daily")
    assert target("select distinct trim(body, '{}') from notes") == [("fine",)]


def test_a_relation_that_only_a_subquery_reads_is_known_by_its_oid(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("create table extra (id int, body text); create table extra_new (id int, body text)")
    legacy("insert into extra select id, 'old' from note; insert into extra_new select id, 'new' from note")
    world.catalog = catalog("(select x.body from public.extra x where x.id = n.id)")
    run(world, "first", profile="daily")
    legacy("drop table extra; alter table extra_new rename to extra")
    run(world, "second", profile="daily")
    assert target("select distinct body from notes") == [("new",)]


def test_a_generated_column_that_is_computed_anew_is_read_whole_once(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    if int(legacy("show server_version_num")[0][0]) < 180000:
        return  # before 18 every generated column is stored, and computing it anew writes the rows
    legacy("alter table note add shouted text generated always as (upper(body)) virtual")
    world.catalog = catalog("n.shouted")
    run(world, "first", profile="daily")
    legacy("alter table note alter shouted set expression as (lower(body))")
    run(world, "second", profile="daily")
    assert target("select body from notes where legacy_id = 1") == [("note 1",)]


def test_a_foreign_partition_is_refused_by_name(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy("alter table note rename to far; create table note (id int, body text) partition by range (id)")
    legacy("create extension postgres_fdw; create server other foreign data wrapper postgres_fdw")
    legacy("create foreign table away partition of note for values from (0) to (50) server other")
    refused(world, target, StructureMismatch, "public.away is a foreign table below note")


def test_another_database_under_the_same_name_is_read_whole_and_empties_nothing(
    world: EngineWorld, legacy: Query, legacy_db: str, target: Query, fresh_database: Callable[[str], str]
) -> None:
    run(world, "first", profile="daily")
    other = fresh_database("other")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("create table note (id int primary key, body text, updated_at timestamptz)")
    world.legacy_dsn = other
    assert run(world, "second", profile="daily").outcome.status == "failed"
    assert target("select count(*) from notes") == [(40,)]
    assert detection(target, "second")[0] == "full"
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("insert into note select i, 'restored ' || i from generate_series(1, 40) i")
    assert conninfo_to_dict(other)["dbname"] != conninfo_to_dict(legacy_db)["dbname"]
    assert run(world, "third", profile="daily").outcome.status == "succeeded"
    assert target("select body from notes where legacy_id = 9") == [("restored 9",)]


def test_a_fence_of_an_earlier_release_is_trusted_no_more(world: EngineWorld, target: Query) -> None:
    run(world, "first", profile="daily")
    target("update hybrid_sync.fence set fence = fence - 'database'")
    run(world, "second", profile="daily")
    assert detection(target, "second") == ("full", "other_database")
    run(world, "third", profile="daily")
    assert detection(target, "third") == ("fence", "")


# --- what names mean --------------------------------------------------------------------------------------------------


def test_an_operator_in_public_changes_no_expression(world: EngineWorld, legacy: Query, target: Query) -> None:
    legacy(
        "create function public.never(int, bigint) returns boolean language sql immutable as $$ select false $$;"
        " create operator public.= (leftarg = int, rightarg = bigint, function = public.never)"
    )
    world.catalog = catalog("case when n.id = 7::bigint then 'seven' else n.body end")
    assert run(world, "first").outcome.status == "succeeded"
    assert target("select body from notes where legacy_id = 7") == [("seven",)]


def test_what_the_catalog_names_beyond_pg_catalog_needs_a_schema_or_the_path(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("create function shout(text) returns text language sql immutable as $$ select upper($1) || '!' $$")
    world.catalog = catalog("shout(n.body)")
    refused(world, target, StructureMismatch, "shout", "legacy_search_path")
    world.catalog = catalog("public.shout(n.body)")
    assert run(world, "first").outcome.status == "succeeded"
    world.catalog = catalog("shout(n.body)", legacy_search_path="public")
    assert run(world, "second").outcome.status == "succeeded"
    assert target("select body from notes where legacy_id = 7") == [("NOTE 7!",)]


def test_an_operator_of_an_extensions_type_is_written_out_or_refused(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("create extension citext; alter table note add mail citext default 'a@X'")
    compared = "case when n.mail {} then 'same' else 'other' end"
    world.catalog = catalog(compared.format("= 'A@x'"))
    refused(world, target, StructureMismatch, "a type of public", "operator(public.=)", "legacy_search_path")
    for number, body in enumerate(
        [
            compared.format("operator(public.=) 'A@x'"),
            compared.format("::text = 'a@X'"),
            "upper(n.mail)",
            "n.mail::text",
        ]
    ):
        world.catalog = catalog(body)
        assert run(world, f"run-{number}", profile="daily").outcome.status == "succeeded"
        shown = "same" if "case" in body else "A@X" if "upper" in body else "a@X"
        assert target("select distinct body from notes") == [(shown,)]


def test_a_path_in_which_others_may_create_something_is_told_in_the_report(
    world: EngineWorld, legacy: Query, target: Query
) -> None:
    legacy("revoke create on schema public from public; create schema open; grant create on schema open to public")
    world.catalog = catalog(legacy_search_path="public")
    run(world, "first", profile="daily")
    assert "may create functions" not in world.reports.pages["first", "md"]
    world.catalog = catalog(legacy_search_path=["public", "open"])
    run(world, "second", profile="daily")
    assert "schema open others than its owner may create functions" in world.reports.pages["second", "md"]
    world.catalog = catalog(legacy_search_path="absent")
    refused(world, target, StructureMismatch, "no schema absent")
