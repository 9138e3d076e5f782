"""The same keys through the direct connection and through real PostgREST: one contract, and nobody else let in."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import jwt
import psycopg
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.aws import client
from hybrid_sync.catalog.load import load
from hybrid_sync.connecting import Connecting
from hybrid_sync.contracts import Ref, RollbackTask, RunRequest, SyncedKeys
from hybrid_sync.errors import ConfigurationMissing, TargetUnavailable
from hybrid_sync.failpoints import armed
from hybrid_sync.pgtypes import ask_types
from hybrid_sync.postgres import answer, transaction
from hybrid_sync.rest import session
from hybrid_sync.rest.binary import rows_of, text_of
from hybrid_sync.rest.project import SCHEMA, Project
from hybrid_sync.rest.project import project as rest_project
from hybrid_sync.rest.session import RestSession
from hybrid_sync.schema.install import install
from hybrid_sync.settings import Settings
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.steps.sync_keys import sync_keys
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.by_rest import SECRET, served
from tests.engine.conftest import DOMAIN, Query, _runner
from tests.engine.policies import HARD, soft, with_policies
from tests.engine.proxy import Wire
from tests.engine.test_sync_keys import Meanwhile
from tests.engine.two_ways import KEYS, WITNESS, flood, gone_back
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects, created, new_name


@dataclass
class Sides:
    """One legacy, and two targets that have got the same of it: one is reached directly, one by REST."""

    direct: EngineWorld
    behind: EngineWorld
    """The second target, directly."""
    rest: EngineWorld
    """The second target, through PostgREST."""
    legacy: Query
    targets: tuple[Query, Query]
    project: Project


@pytest.fixture(scope="module")
def sides(
    postgres: Cluster, projects: Projects, session_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sides]:
    with made(postgres, projects, session_home, tmp_path_factory.mktemp("rest")) as sides:
        yield sides


@pytest.fixture
def untouched(postgres: Cluster, projects: Projects, session_home: Path, tmp_path: Path) -> Iterator[Sides]:
    """Sides that no other test has written to by one way only."""
    with made(postgres, projects, session_home, tmp_path) as sides:
        yield sides


@contextmanager
def made(postgres: Cluster, projects: Projects, session_home: Path, folder: Path) -> Iterator[Sides]:
    with ExitStack() as stack:
        name = new_name("legacy")
        stack.enter_context(created(postgres, name))
        legacy = postgres.dsn(name)
        with psycopg.connect(legacy, autocommit=True) as connection:
            connection.execute((DOMAIN / "legacy.sql").read_bytes())
        worlds: list[EngineWorld] = []
        admins: list[str] = []
        for name in ("direct", "behind"):
            admins.append(projects.admin_dsn(stack.enter_context(projects.copy(name, installed=True))))
            with psycopg.connect(admins[-1], autocommit=True) as connection:
                connection.execute((DOMAIN / "target.sql").read_bytes())
            catalog = load(DOMAIN / "catalog")
            worlds.append(EngineWorld(catalog, legacy, install(admins[-1], "only-for-tests", catalog)))
            with_policies(worlds[-1], messages=HARD, invoices=soft(currency="'gone'"))
            run(worlds[-1], "first")
        project = stack.enter_context(served(admins[1], session_home.parent.parent, folder))
        rest = copy.copy(worlds[1])
        rest.connect_target = project.connect  # type: ignore[method-assign]
        yield Sides(*worlds, rest, _runner(legacy), (_runner(admins[0]), _runner(admins[1])), project)


def asked(run_id: str, *refs: Ref) -> RunRequest:
    return RunRequest(run_id=run_id, profile="on_demand", refs=refs)


def at_once(said: SyncedKeys) -> str:
    assert said.outcome is not None, said.why
    return said.outcome.status


ROWS = ("clinics", "people", "visits", "invoices", "messages", "grants")
RECORDS = {
    # A statement's own link or removal has a name that nobody else needs.
    "journal": "run_id, case when batch_id in (select batch_id from hybrid_sync.batch_done) then batch_id end, entity,"
    " source, operation, keys, id, before",
    "batch_done": "batch_id, run_id, entity, source, lo, hi, result, step, batch, page, until, cardinality(xids) > 0",
    "failed_record": "entity, source, key, reason, column_name, sqlstate, constraint_name, waits_for, present, rows,"
    " row_version, first_run, last_run, status, attempts",
    "pending_link": "entity, source, key, column_name, parent_entity, parent_source, parent_key, run_id",
    "tombstone": "entity, source, key, run_id, before, written, ended_run",
    "retired_id": "entity, source, key, id, run_id",
    "bucket": "entity, source, n, gen",
    "run": "run_id, status, at_once",
    "run_entity": "run_id, entity, wave, requested, status, conservation, money, links, deletes, asked",
}


def rows(target: Query) -> dict[str, list[tuple[str]]]:
    return {name: target(f"select (to_jsonb(t) - 'created_at')::text from public.{name} t order by 1") for name in ROWS}


def records(target: Query) -> dict[str, list[tuple[str]]]:
    return {
        name: target(f"select to_jsonb(r)::text from (select {columns} from hybrid_sync.{name}) r order by 1")
        for name, columns in RECORDS.items()
    }


def test_new_changed_deleted_returned_and_bad_rows_are_the_same_both_ways_and_are_undone(untouched: Sides) -> None:
    sides = untouched
    sides.legacy(
        "insert into person (id, clinic_id, email, manager_id) values (70, 1, 'n@example.org', 71),"
        " (71, 1, 'm@example.org', 70); insert into visit (id, person_id, note) values (72, 70, 'it''s \\ \"new\"');"
        " update visit set note = 'forbidden' where id = 3; update invoice set total = 7 where id = 2;"
        " create table gone as table invoice; create table away as table remark;"
        " delete from remark where id = 1; delete from invoice where id = 7"
    )
    names = [("visits", 72), ("visits", 3), ("invoices", 2), ("invoices", 5), ("invoices", 7)]
    refs = [Ref(entity=entity, legacy_id=key) for entity, key in names]
    refs.append(Ref(entity="messages", source="remark", legacy_id=1))
    for world in (sides.direct, sides.rest):
        assert at_once(sync_keys(world, asked("one", *refs))) == "degraded"
    after_one = rows(sides.targets[1])
    assert sides.targets[1]("select key, reason from hybrid_sync.failed_record where first_run = 'one'") == [
        ([3], "check_violation")
    ]
    sides.legacy(
        "insert into remark select * from away where id = 1; insert into invoice select * from gone where id = 7;"
        " update visit set note = 'fine' where id = 3"
    )
    for world in (sides.direct, sides.rest):
        assert at_once(sync_keys(world, asked("two", *refs))) == "succeeded"
    direct, rest = map(rows, sides.targets)
    assert rest == direct
    direct, rest = map(records, sides.targets)
    assert rest == direct
    ours = "select bool_and(j.xid::text = any(d.xids::text[])) from hybrid_sync.journal j join hybrid_sync.batch_done d"
    assert sides.targets[1](f"{ours} using (batch_id) where j.run_id in ('one', 'two')") == [(True,)]
    outcome = rollback_run(sides.behind, RollbackTask(run_id="two"))
    while outcome.more:
        outcome = rollback_run(sides.behind, RollbackTask(run_id="two", rollback_id=outcome.rollback_id))
    assert rows(sides.targets[1]) == after_one
    sides.targets[1]("update hybrid_sync.entity_state set held = false")


def test_what_a_trigger_changes_in_a_block_beside_the_keys_is_told_by_the_next_whole_run(untouched: Sides) -> None:
    sides = untouched
    _, target = sides.targets
    target(
        "create function f() returns trigger language plpgsql security definer as $$ begin"
        " begin update public.visits set note = 'beside' where legacy_id = new.legacy_id - 1 and new.note = 'changed';"
        " exception when division_by_zero then null; end; return new; end $$;"
        " create trigger t after update on public.visits for each row execute function f()"
    )
    sides.legacy("update visit set note = 'changed' where id = 4; update visit set note = 'forbidden' where id = 2")
    refs = [Ref(entity="visits", legacy_id=key) for key in (2, 4)]
    assert at_once(sync_keys(sides.rest, asked("one", *refs))) == "degraded"
    assert target("select cardinality(xids) > 1 from hybrid_sync.written_beside where run_id = 'one'") == [(True,)]
    run(sides.behind, "two", profile="daily")
    told = "select key[1], reason from hybrid_sync.failed_record where entity = 'visits' and status <> 'resolved'"
    assert (3, "trigger_changed_value") in target(told)


def test_what_another_writer_carried_in_between_is_not_taken_back(sides: Sides) -> None:
    sides.legacy("update invoice set total = 71 where id = 6")
    first = True

    def another_writer() -> None:
        nonlocal first
        if first:
            first = False
            sides.legacy("update invoice set total = 72 where id = 6")
            at_once(sync_keys(sides.behind, asked("faster", Ref(entity="invoices", legacy_id=6))))

    with armed({"keys.written": Meanwhile(another_writer)}):
        assert at_once(sync_keys(sides.rest, asked("slower", Ref(entity="invoices", legacy_id=6)))) == "succeeded"
    assert sides.targets[1]("select total from invoices where legacy_id = 6") == [(72,)]
    assert sides.targets[1]("select status from hybrid_sync.run where run_id in ('faster', 'slower')") == [
        ("succeeded",), ("succeeded",),
    ]  # fmt: skip


def test_where_too_many_rows_are_refused_one_by_one_the_whole_flow_takes_them(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = range(5001, 5041)
    refs = [Ref(entity="messages", source="remark", legacy_id=key) for key in keys]
    sides.legacy("insert into remark (id, person_id, body) select i, 1, 'r' from generate_series(5001, 5040) i")
    assert at_once(sync_keys(sides.rest, asked("many", *refs))) == "succeeded"
    sides.targets[1](
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;"
        " create trigger refuse before delete on messages for each row execute function refuse()"
    )
    sides.legacy("delete from remark where id > 5000")
    allowed = asked("one-by-one", *refs).model_copy(update={"allow_deletes": ("messages",)})
    monkeypatch.setattr(session, "MOST_MESSAGES", 60)
    left = sync_keys(sides.rest, allowed)
    assert (left.whole, left.why) == (True, "structure_mismatch")
    sides.targets[1]("drop function refuse cascade")
    monkeypatch.undo()
    assert at_once(sync_keys(sides.rest, allowed)) == "succeeded"
    assert sides.targets[1]("select count(*) from messages where legacy_id > 5000") == [(0,)]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role", "postgres", "forged"])
def test_nobody_but_the_worker_is_let_in(sides: Sides, role: str) -> None:
    key = supabase.api_key(role, SECRET) if role != "forged" else supabase.api_key("hybrid_sync_worker", "x" * 40)
    headers = {"apikey": sides.project.anon_key, "authorization": f"Bearer {key}"}
    said = {"said": {"statements": [["select 1", True]], "seen": 0, "digest": "", "commit": True}}
    for function in ("say", "look"):
        profile = {"content-profile": SCHEMA}
        answer = httpx.post(f"{sides.project.url}/rest/v1/rpc/{function}", json=said, headers={**headers, **profile})
        assert answer.status_code in (401, 403), answer.text
    records = httpx.get(f"{sides.project.url}/rest/v1/run", headers={**headers, "accept-profile": "hybrid_sync"})
    assert records.status_code in (401, 406), records.text


def test_the_records_are_not_served_even_to_the_worker(sides: Sides) -> None:
    token = jwt.encode({"role": "hybrid_sync_worker"}, SECRET, algorithm="HS256")
    headers = {"authorization": f"Bearer {token}", "accept-profile": "hybrid_sync"}
    assert httpx.get(f"{sides.project.url}/rest/v1/run", headers=headers).status_code == 406


def test_what_is_set_up_wrongly_is_said_with_its_remedy(sides: Sides) -> None:
    wrong = Project(sides.project.url, sides.project.anon_key, "another secret, of thirty-two bytes")
    refused = pytest.raises(ConfigurationMissing, match="supabase_jwt_secret")
    with wrong.connect() as target, refused, transaction(target, "target"):
        target.execute("select 1")
    wrong.close()
    away = Project("http://127.0.0.1:9", sides.project.anon_key, SECRET)
    with away.connect() as target, pytest.raises(TargetUnavailable), transaction(target, "target"):
        target.execute("select 1")
    away.close()


CLOSED = 9
"""A port of 127.0.0.1 on which nobody listens."""


@pytest.fixture
def connecting(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int | None], Connecting]]:
    """A deployment's databases, by the way that is named, and by another port of the target where one is named."""
    for name, value in (("DEFAULT_REGION", "us-east-1"), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():

        def connect(way: str, port: int | None) -> Connecting:
            dsn = make_conninfo(sides.rest.target_dsn, **({"port": port} if port else {}))
            held = {
                "target_dsn": dsn, "supabase_url": sides.project.url, "supabase_anon_key": sides.project.anon_key,
                "supabase_jwt_secret": SECRET,
            }  # fmt: skip
            name = f"{way}-{port}"
            boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(held))
            settings = {"HYBRID_SYNC_SECRET": name, "CONTROL_TABLE": "none", "TARGET_WAY": way}
            return Connecting(Settings.from_environment(settings), client)

        yield connect
    rest_project(sides.project.url, sides.project.anon_key, SECRET).close()
    rest_project.cache_clear()


@pytest.mark.parametrize(
    ("way", "port", "by_rest"),
    [("rest", None, True), ("failover", None, False), ("failover", CLOSED, True), ("direct", None, False)],
)  # fmt: skip
def test_the_way_is_a_parameter_and_rest_follows_a_refused_connection(
    connecting: Callable[[str, int | None], Connecting], way: str, port: int | None, by_rest: bool
) -> None:
    with connecting(way, port).connect_target() as target, transaction(target, "target"):
        assert isinstance(target, RestSession) is by_rest
        assert target.execute("select current_user::text").fetchone() == ("hybrid_sync_worker",)


def test_a_run_goes_by_rest_where_the_target_refuses_and_the_way_allows_it(
    sides: Sides, connecting: Callable[[str, int | None], Connecting]
) -> None:
    sides.legacy("update invoice set total = 81 where id = 9")
    request = asked("refused", Ref(entity="invoices", legacy_id=9))
    world = copy.copy(sides.behind)
    world.connect_target = connecting("direct", CLOSED).connect_target  # type: ignore[method-assign]
    with pytest.raises(TargetUnavailable):
        sync_keys(world, request)
    world.connect_target = connecting("failover", CLOSED).connect_target  # type: ignore[method-assign]
    assert at_once(sync_keys(world, request)) == "succeeded"
    assert sides.targets[1]("select total from invoices where legacy_id = 9") == [(81,)]


def test_a_flood_by_both_ways_loses_nothing_and_takes_nothing_back_while_the_direct_port_closes(
    sides: Sides, connecting: Callable[[str, int | None], Connecting]
) -> None:
    """`make ways` has it with thousands of rows."""
    sides.legacy(
        f"insert into invoice (id, visit_id, total) select i, 5, 1 from generate_series({KEYS[0]}, {KEYS[-1]}, 250) i"
    )
    sides.targets[1](WITNESS)
    parts = conninfo_to_dict(sides.behind.target_dsn)
    wire = Wire(str(parts["host"]), int(str(parts["port"])))
    closing = copy.copy(sides.behind)
    closing.connect_target = connecting("failover", wire.port).connect_target  # type: ignore[method-assign]
    carriers = {"closing": closing, "rest": sides.rest}
    seed, changes = int(os.environ.get("SEED", "1")), int(os.environ.get("CHANGES", "12"))
    try:
        played = flood(sides.rest.legacy_dsn, carriers, seed=seed, changes=changes, middle=wire.close)
    finally:
        wire.close()
    print(f"seed {seed}: {sides.targets[1]('select count(*) from witness')[0][0]} rows written, {dict(played.runs)}")
    assert played.errors == []
    assert gone_back(sides.targets[1]) == []
    arrived = "select legacy_id, total from invoices where legacy_id > 1000 and total > 1 order by 1"
    assert sides.targets[1](arrived) == sides.legacy(
        "select id, total from invoice where id > 1000 and total > 1 order by 1"
    )


VALUES = {
    "bool": ["true", "false"],
    "int2": ["-32768", "32767"],
    "int8": ["-9223372036854775808", "0"],
    "oid": ["4294967295"],
    "float4": ["0.1", "-0", "NaN", "Infinity", "1e-45"],
    "float8": ["0.1", "-0", "NaN", "-Infinity", "5e-324", "1.7976931348623157e308"],
    "numeric": ["0", "0.000", "-0.00012", "10000", "123456789.98765432100", "NaN", "1e40", "0.0001", "-1"],
    "numeric(12,2)": ["1.10", "-99.00"],
    "text": ["", " ", "a\\b'c\"d", "é\n\t{,}", "NULL"],
    "bpchar(4)": ["ab"],
    "name": ["n"],
    "json": ['{"a" :  1.0}', "null"],
    "jsonb": ['{"a": [1.0, null, "\\u00e9"]}'],
    "uuid": ["00000000-0000-4000-8000-000000000001"],
    "bytea": ["\\x", "\\x00ff5c"],
    "date": ["2026-11-26", "0044-03-15 BC", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00"],
    "timetz": ["12:00:00.5+05:45", "12:00:00-11"],
    "timestamp": ["2026-11-26 12:00:00.000001", "0001-01-01 00:00:00 BC", "infinity"],
    "timestamptz": ["1999-12-31 23:59:59.999999+00", "-infinity", "294276-12-31 23:59:59+00"],
    "interval": ["1 mon -2 days 03:04:05.000006", "-1 year", "-00:00:00.5", "178000000 years"],
    "bit(5)": ["10101"],
    "varbit": ["", "101010101"],
    "int4[]": ["{}", "{1,NULL,-3}", "[2:3]={4,5}", "{{1,2},{3,4}}"],
    "text[]": ['{"a\\\\b","c\\"d",NULL,"NULL",""}'],
    "timestamptz[]": ['{"2026-11-26 12:00:00+00",infinity}'],
    "person_kind": ["nurse"],
    "person_kind[]": ["{nurse,clerk}"],
}


def test_every_value_arrives_as_it_is(sides: Sides) -> None:
    """Binary COPY, read here and said as a literal, is the same value again."""
    with sides.behind.connect_target() as target, transaction(target, "target"):
        target.execute("set local search_path = pg_catalog, public")
        for kind, values in VALUES.items():
            for value in values:
                literal = f"{psycopg.sql.Literal(value).as_string(None)}::{kind}"
                oids = target.execute(f"select pg_typeof({literal})::oid::bigint".encode()).fetchone()
                assert oids is not None
                with (
                    target.cursor() as cursor,
                    cursor.copy(f"copy (select {literal}) to stdout (format binary)".encode()) as copied,
                ):
                    [[data]] = rows_of(b"".join(map(bytes, copied)))
                assert data is not None
                [described] = answer(target, ask_types([(oids[0], -1)]))
                said = psycopg.sql.Literal(text_of(described, data)).as_string(None)
                same = target.execute(f"select ({said}::{kind})::text, ({literal})::text".encode()).fetchone()
                assert same is not None
                assert same[0] == same[1], (kind, value, said)
