"""The target looks like a hosted project, and the real `supabase` client can talk to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from supabase import create_client

from hybrid_sync_cli.stack import rest, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes

SECRET = "a-secret-of-at-least-thirty-two-bytes"


def test_the_admin_is_no_superuser_but_bypasses_row_security(target_db: str) -> None:
    with psycopg.connect(target_db) as connection:
        row = connection.execute("select rolsuper, rolbypassrls from pg_roles where rolname = current_user").fetchone()
    assert row == (False, True)


def test_roles_have_the_hosted_time_limits(target_db: str) -> None:
    with psycopg.connect(target_db) as connection:
        limits = dict(
            connection.execute(
                "select r.rolname, s.setconfig from pg_db_role_setting s join pg_roles r on r.oid = s.setrole"
            ).fetchall()
        )
        own = connection.execute("show statement_timeout").fetchone()
    assert "statement_timeout=3s" in limits["anon"]
    assert "statement_timeout=8s" in limits["authenticator"]
    assert own == ("2min",)


def test_a_new_table_is_granted_to_nobody(target_db: str) -> None:
    with psycopg.connect(target_db) as connection:
        connection.execute("create table public.thing (n int)")
        row = connection.execute(
            "select has_table_privilege('anon', 'public.thing', 'select'),"
            " has_table_privilege('service_role', 'public.thing', 'select')"
        ).fetchone()
    assert row == (False, False)


@pytest.fixture
def rest_of(tmp_path: Path, session_home: Path, supabase_postgres: Cluster) -> Iterator[Callable[[str], str | None]]:
    """Call with a database's DSN for the URL of a REST API over it; None where there is no PostgREST."""
    served = rest.Rest(Processes(tmp_path))

    def serve(dsn: str) -> str | None:
        binary = rest.find_postgrest(session_home.parent.parent)
        if isinstance(binary, rest.Unavailable):
            return None
        database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        password = psycopg.conninfo.conninfo_to_dict(dsn)["password"]
        login = supabase_postgres.dsn(str(database), supabase.AUTHENTICATOR, str(password))
        served.ensure(binary, authenticator_dsn=login, jwt_secret=SECRET, port=None)
        return served.url

    yield serve
    served.stop()


def rows_seen_by(role: str, url: str) -> object:
    client = create_client(url, supabase.api_key(role, SECRET))
    try:
        return client.table("thing").select("n").execute().data
    finally:
        client.postgrest.session.close()
        client.auth.close()


def test_the_service_role_reads_a_row_and_anon_sees_nothing(
    target_db: str, rest_of: Callable[[str], str | None]
) -> None:
    with psycopg.connect(target_db) as connection:
        connection.execute(
            "create table public.thing (id uuid primary key default gen_random_uuid(), n int);"
            "alter table public.thing enable row level security;"
            "grant select on public.thing to service_role, anon;"
            "insert into public.thing (n) values (7)"
        )
    url = rest_of(target_db)
    if url is None:
        return  # REST is off on this machine; the next test shows that it says so
    assert rows_seen_by("service_role", url) == [{"n": 7}]
    assert rows_seen_by("anon", url) == []


def test_without_npm_rest_is_off_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(rest.OVERRIDE, raising=False)
    found = rest.find_postgrest(tmp_path)
    assert isinstance(found, rest.Unavailable)
    assert "install npm" in found.reason
