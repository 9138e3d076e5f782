"""Misconfigured databases and networks: a check finds each, by its code, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.check.context import Limits
from hybrid_sync.check.model import CheckOutcome, Severity, StartedCheck
from hybrid_sync.steps.check_deployment import check_deployment
from tests.check.conftest import CATALOG, READER, WORKER, Pair, execute
from tests.engine.worlds import EngineWorld

Harm = Callable[[Pair], Any]
HEALTHY = Limits(round_trip=timedelta(seconds=5))
"""A busy machine answers late."""


@dataclass(frozen=True)
class Planted:
    """One misconfiguration, and what a check is to say of it."""

    name: str
    code: str
    says: str
    """Stands in the evidence or in the remedy."""
    legacy: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    """What copies of the database would share."""
    harm: Harm | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    severity: Severity = Severity.error
    request: dict[str, Any] = field(default_factory=dict)


def in_legacy(name: str, code: str, says: str, *statements: str, **more: Any) -> Planted:
    return Planted(name, code, says, legacy=statements, **more)


def in_target(name: str, code: str, says: str, *statements: str, **more: Any) -> Planted:
    return Planted(name, code, says, target=statements, **more)


@contextmanager
def transactions(dsn: str, *statements: str, n: int = 1) -> Iterator[None]:
    """Sessions of others that stay."""
    with ExitStack() as opened:
        for _ in range(n):
            other = opened.enter_context(psycopg.connect(dsn, autocommit=not statements))
            for statement in statements:
                other.execute(statement.encode())
        yield


def a_dsn(side: str, change: Callable[[str], str]) -> Harm:
    def harm(pair: Pair) -> None:
        setattr(pair.world, f"{side}_dsn", change(getattr(pair.world, f"{side}_dsn")))

    return harm


def another_clock(pair: Pair) -> None:
    now = pair.world.now
    pair.world.now = lambda: now() + timedelta(hours=1)  # type: ignore[method-assign]


def an_open_path(pair: Pair) -> None:
    people = CATALOG["people"].model_copy(update={"legacy_search_path": ("pg_catalog", "public", "pg_temp")})
    pair.world.catalog = Catalog({**CATALOG.entities, "people": people})


NO_SIZE = {"scan_bytes": -1}
ANY = Severity.warning
PLANTED = [
    in_legacy("no select", "missing_privilege", f'grant select on "public"."person" to "{READER}"',
              f"revoke select on person from {READER}"),
    in_legacy("no usage of a schema", "missing_privilege", f'grant usage on schema "public" to "{READER}"',
              "revoke usage on schema public from public"),
    in_legacy("a table is missing", "structure_mismatch", "grant_of", "drop table grant_of"),
    in_legacy("a column is missing", "structure_mismatch", "p.born", "alter table person drop column born"),
    in_legacy("row security", "missing_privilege", "BYPASSRLS",
              "alter table person enable row level security",
              f"create policy few on person to {READER} using (id > 3)"),
    in_legacy("forced row security", "missing_privilege", "BYPASSRLS", f"alter table letter owner to {READER}",
              "alter table letter enable row level security", "alter table letter force row level security"),
    in_legacy("a schema where others may create", "open_search_path", "Revoke CREATE",
              "grant create on schema public to public", harm=an_open_path, severity=ANY),
    in_legacy("no index on the key", "no_index", "public.remark", "alter table remark drop constraint remark_pkey",
              limits=NO_SIZE, severity=ANY),
    in_legacy("no index on a joined column", "no_index", "public.clinic",
              "alter table clinic drop constraint clinic_pkey", limits=NO_SIZE, severity=ANY),
    in_legacy("statements of a second", "statement_timeout", "1 s",
              f"alter role {READER} in database {{db}} set statement_timeout = '1s'", severity=ANY),
    in_legacy("transactions of ten seconds", "transaction_timeout", "10 s",
              f"alter role {READER} in database {{db}} set transaction_timeout = '10s'"),
    in_legacy("sessions that end at once", "idle_session_timeout", "idle_session_timeout = '2min'",
              f"alter role {READER} in database {{db}} set idle_session_timeout = '2s'", severity=ANY),
    in_legacy("one connection for the role", "few_connections", f"alter role {READER} connection limit",
              f"alter role {READER} connection limit 1", undo=(f"alter role {READER} connection limit -1",)),
    in_legacy("few connections for the database", "few_connections", "alter database",
              "alter database {db} connection limit 3", severity=ANY),
    Planted("a server that is nearly full", "few_connections", "max_connections", severity=ANY,
            harm=lambda pair: transactions(pair.legacy, n=26)),
    Planted("a long transaction", "long_transaction", "pg_stat_activity", severity=ANY,
            limits={"long_transaction": timedelta(0), "xmin_age": -1},
            harm=lambda pair: transactions(pair.legacy, "set transaction isolation level repeatable read", "select 1")),
    in_legacy("a prepared transaction", "prepared_transaction", "pg_prepared_xacts",
              "begin; create table later (n int); prepare transaction 'forgotten'",
              undo=("rollback prepared 'forgotten'",), limits={"prepared_transaction": timedelta(0)}, severity=ANY),
    in_legacy("a slot that nobody reads", "held_wal", "pg_drop_replication_slot",
              "select pg_create_physical_replication_slot('left', true)",
              undo=("select pg_drop_replication_slot('left')",), limits={"slot_bytes": -1}, severity=ANY),
    in_legacy("a database that was never frozen", "old_transaction_ids", "vacuum", limits={"xid_age": 1}, severity=ANY),
    in_legacy("a server of long ago", "server_too_old", "Upgrade", limits={"oldest_server": 990_000}),
    in_target("a table is missing there", "structure_mismatch", "Create it", "drop table grants"),
    in_target("a column is missing there", "structure_mismatch", "no column name",
              "alter table clinics drop column name"),
    in_target("a type that does not fit", "structure_mismatch", "money needs a decimal number",
              "alter table invoices alter total type float8"),
    in_target("an enum without a label", "structure_mismatch", "clerk",
              "alter type person_kind rename value 'clerk' to 'typist'"),
    in_target("no unique legacy key", "structure_mismatch", "no unique index on its legacy key",
              "alter table invoices drop constraint invoices_legacy_id_key"),
    in_target("a column that nobody fills", "structure_mismatch", "Map it in `columns`",
              "alter table clinics add must text", "update clinics set must = ''",
              "alter table clinics alter must set not null"),
    in_target("a generated column that is mapped", "structure_mismatch", "generated by the database",
              "alter table clinics drop column name",
              "alter table clinics add name text generated always as ('x') stored"),
    in_target("a mapped column that counts", "counts_behind", "legacy_id", "create sequence counting",
              "alter table clinics alter legacy_id set default nextval('counting')", severity=ANY),
    in_target("a trigger that deletes", "trigger_deletes", "forget()",
              "create function forget() returns trigger language plpgsql as"
              " 'begin delete from grants where false; return new; end'",
              "create trigger forgets after update on people for each row execute function forget()", severity=ANY),
    in_target("no update of a table", "missing_privilege", f'grant update on "public"."invoices" to "{WORKER}"',
              f"revoke update on invoices from {WORKER}"),
    in_target("no use of a sequence", "missing_privilege", f'grant usage on sequence "public"."counting" to "{WORKER}"',
              "create sequence counting", "alter table clinics add n bigint default nextval('counting')"),
    in_target("nothing of ours to read", "configuration_missing", "hybrid-sync install",
              f"revoke usage on schema hybrid_sync from {WORKER}"),
    in_target("our records are closed", "missing_privilege", f'grant update on "hybrid_sync"."fence" to "{WORKER}"',
              f"revoke update on hybrid_sync.fence from {WORKER}"),
    in_target("an older schema of ours", "configuration_missing", "hybrid-sync install",
              "delete from hybrid_sync.migration where name like '0022%'"),
    in_target("rows that a policy hides", "hidden_rows", "bypassrls", f"alter role {WORKER} nobypassrls",
              "alter table people enable row level security",
              f"create policy few on people for all to {WORKER} using (born is null)",
              undo=(f"alter role {WORKER} bypassrls",), severity=ANY),
    in_target("a read-only database", "target_read_only", "full disk",
              "alter database {db} set default_transaction_read_only = on"),
    in_target("no index on a reference", "no_index", "create index concurrently",
              "drop index visits_person_id_idx", limits=NO_SIZE, severity=ANY),
    in_target("an extension that legacy lacks", "extension_missing", "create extension ltree",
              "create extension ltree", "alter table messages drop column body", "alter table messages add body ltree"),
    Planted("a disk that is too small", "disk_too_small", "Enlarge", request={"disk_gb": 0.001}),
    Planted("another clock", "clock_differs", "time service", harm=another_clock, severity=ANY),
    Planted("a long way", "slow_line", "region", limits={"round_trip": timedelta(0)}, severity=ANY),
    Planted("a DSN that is none", "configuration_missing", "postgresql://", harm=a_dsn("legacy", lambda dsn: "no dsn")),
    Planted("a port where nobody listens", "target_unavailable", "host and port",
            harm=a_dsn("target", lambda dsn: "postgresql://x:y@127.0.0.1:1/z")),
    Planted("a wrong password", "legacy_unavailable", "password",
            harm=a_dsn("legacy", lambda dsn: dsn.replace(":only-for-tests@", ":another@"))),
    Planted("a wrong database", "target_unavailable", "database name", harm=a_dsn("target", lambda dsn: f"{dsn}_not")),
    Planted("a host that nobody knows", "legacy_unavailable", "check the host in its DSN",
            harm=a_dsn("legacy", lambda dsn: dsn.replace("@127.0.0.1", "@db.invalid") + "?sslmode=verify-full")),
    Planted("TLS that is refused", "server_untrusted", "TLS",
            harm=a_dsn("target", lambda dsn: dsn + "?sslmode=verify-full")),
]  # fmt: skip


def checked(world: EngineWorld, limits: Limits = HEALTHY, **request: Any) -> CheckOutcome:
    return check_deployment(world, StartedCheck(check_id="check-1", request=CheckRequest(**request)), limits)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_misconfiguration_is_found_with_its_remedy(planted: Planted, pair: Pair) -> None:
    with ExitStack() as harmed:
        for dsn, statements in ((pair.legacy, planted.legacy), (pair.target, planted.target)):
            if statements:
                harmed.callback(execute, dsn, *planted.undo)
                execute(dsn, *statements)
        if planted.harm is not None and (lasting := planted.harm(pair)) is not None:
            harmed.enter_context(lasting)
        outcome = checked(pair.world, replace(HEALTHY, **planted.limits), **planted.request)
        found = [f for f in outcome.findings if f.severity is not Severity.note]
        told = {f.code: f for f in found if planted.says in f"{f.evidence} {f.remedy}"}
        assert planted.code in told, found
        assert told[planted.code].severity is planted.severity
        assert told[planted.code].remedy
        assert outcome.passed is not any(f.severity is Severity.error for f in found)
        assert "could_not_look" not in {f.code for f in found}, found


def test_a_healthy_pair_is_found_healthy(pair: Pair) -> None:
    outcome = checked(pair.world)
    assert [f for f in outcome.findings if f.severity is not Severity.note] == []
    assert outcome.passed


def test_a_replica_is_found(pair: Pair, replica: Callable[[Pair], str]) -> None:
    pair.world.legacy_dsn = replica(pair)
    assert "legacy_is_replica" in {f.code for f in checked(pair.world).findings}


def test_letters_that_are_none_are_found(pair: Pair) -> None:
    with psycopg.connect(pair.legacy_server.dsn(), autocommit=True) as server:
        server.execute("create database bytes template template0 encoding 'SQL_ASCII' locale 'C'"
                       " locale_provider libc")  # fmt: skip
    pair.world.legacy_dsn = pair.world.legacy_dsn.rpartition("/")[0] + "/bytes"
    assert "encoding_differs" in {f.code for f in checked(pair.world).findings}
