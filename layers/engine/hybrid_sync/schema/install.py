"""Preparing a target: our schema by numbered migrations, a role of our own, and just the grants it needs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import split, table
from hybrid_sync.errors import RequestRejected, SyncError
from hybrid_sync.postgres import OUR_PATH, Connection, connect, transaction
from hybrid_sync.schema import sequences
from hybrid_sync.schema.bulk import record_tables
from hybrid_sync.servers import dsn, supabase

WORKER = "hybrid_sync_worker"

_TRACK = """
create schema if not exists hybrid_sync;
create table if not exists hybrid_sync.migration (
  name text primary key, applied_at timestamptz not null default clock_timestamp())
"""
_RLS = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'hybrid_sync' and c.relkind in ('r', 'p') and not c.relrowsecurity
"""
_GRANTABLE = """
select s::text from pg_catalog.unnest(pg_catalog.current_schemas(false)) s
where pg_catalog.has_schema_privilege(s::pg_catalog.text, 'usage with grant option')
  and s operator(pg_catalog.<>) 'pg_catalog'
"""
_POLICIES = "select 1 from pg_policies where schemaname = %s and tablename = %s and policyname = %s"


@dataclass(frozen=True)
class Way:
    """How functions reach the target, which may differ from the admin's way."""

    ca: str | None = None
    """As `dsn.secured` has it; the admin's too."""
    pooler: str | None = None
    ipv6: bool = False
    """Both as `supabase.for_functions` has them."""


def install(
    admin_dsn: str, worker_password: str, catalog: Catalog | None = None, *, new_password: bool = False,
    way: Way = Way(), deployment: str = "",
) -> str:  # fmt: skip
    """Bring the target up to date; safe to repeat.

    Applies the migrations that are missing, creates the worker role, and grants it the mapped tables of `catalog` that
    exist.  Returns the worker's DSN.  All in one transaction: a failure leaves nothing half-done.  A worker role that
    is there and has another password may be somebody else's: RequestRejected, unless `new_password` says to replace it.
    The schema is claimed for `deployment`, if that is named; what another one has claimed is refused in the same way.
    """
    worker = supabase.as_role(dsn.read(admin_dsn, "target"), WORKER, worker_password)
    for_functions = supabase.for_functions(worker, "target", way.pooler, ipv6=way.ipv6)
    with connect(admin_dsn, "target", way.ca) as connection:
        with transaction(connection, "target"):
            known = connection.execute("select 1 from pg_roles where rolname = %s", (WORKER,)).fetchone() is not None
        keeps = known and _lets_in(make_conninfo(**worker), way.ca)
        if known and not keeps and not new_password:
            raise RequestRejected(
                f"The target has a role {WORKER} already, and its password is not ours: another deployment may use it.",
                "Install with the secret that holds its DSN; or replace its password with --new-password, which locks"
                " out whoever uses the old one.",
            )
        with transaction(connection, "target"):
            connection.execute("select pg_advisory_xact_lock(hashtext('hybrid_sync.install'))")
            _migrate(connection)
            if deployment:
                _claim(connection, deployment, take_over=new_password)
            bypasses = _role(connection, None if keeps else worker_password)
            _grant_own(connection, bypasses=bypasses)
            _open_rest(connection)
            if catalog is not None:
                _grant_mapped(connection, catalog, bypasses=bypasses)
    return make_conninfo(**dsn.portable(for_functions))


def _lets_in(worker_dsn: str, ca: str | None) -> bool:
    """Whether the worker's password is the one in its DSN."""
    try:
        connect(worker_dsn, "target", ca).close()
    except SyncError:
        return False
    return True


def grant(admin_dsn: str, catalog: Catalog) -> None:
    """Give the worker role its rights on the mapped tables that exist by now; safe to repeat."""
    with connect(admin_dsn, "target") as connection, transaction(connection, "target"):
        row = connection.execute("select rolbypassrls from pg_roles where rolname = %s", (WORKER,)).fetchone()
        _grant_mapped(connection, catalog, bypasses=bool(row and row[0]))


def _migrate(connection: Connection) -> None:
    connection.execute(_TRACK)
    done = {row[0] for row in connection.execute("select name from hybrid_sync.migration").fetchall()}
    folder = resources.files("hybrid_sync.schema") / "migrations"
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name):
        if file.name not in done:
            connection.execute(file.read_text(encoding="utf-8").encode())
            connection.execute("insert into hybrid_sync.migration (name) values (%s)", (file.name,))


def _claim(connection: Connection, deployment: str, *, take_over: bool) -> None:
    """Claim the schema for this deployment: two deployments in one would undo and delete what the other has written."""
    row = connection.execute("select name from hybrid_sync.deployment").fetchone()
    if row is not None and row[0] != deployment and not take_over:
        raise RequestRejected(
            f"The target's schema hybrid_sync belongs to another deployment ({row[0]}).",
            "Give this one a database of its own; or take it over with `hybrid-sync install --new-password`, which"
            " locks the other one out.",
        )
    connection.execute(
        "insert into hybrid_sync.deployment (name) values (%s)"
        " on conflict (only_one) do update set name = excluded.name, claimed_at = clock_timestamp()"
        " where deployment.name <> excluded.name",
        (deployment,),
    )


def _role(connection: Connection, password: str | None) -> bool:
    """Create the worker, or give it this password; True when it can be excused from row security.

    PostgreSQL lets a superuser excuse it, and from 16 on a role that is excused itself.
    """
    role = sql.Identifier(WORKER)
    exists = connection.execute("select 1 from pg_roles where rolname = %s", (WORKER,)).fetchone()
    if not exists:
        connection.execute(sql.SQL("create role {} login noinherit").format(role))
    if password is not None:
        # As the verifier that the server would make of it: statements of roles stand in logs, and a password must not.
        verifier = connection.pgconn.encrypt_password(password.encode(), WORKER.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("alter role {} password {}").format(role, sql.Literal(verifier)))
    # A worker that is frozen keeps its connections, though it uses none after that time (pool.IDLE_SECONDS); the server
    # ends them, from PostgreSQL 14 on.
    if connection.execute("select from pg_settings where name = 'idle_session_timeout'").fetchone() is not None:
        connection.execute(sql.SQL("alter role {} set idle_session_timeout = '2min'").format(role))
    _give_path(connection)
    may = connection.execute(
        "select rolsuper or (rolbypassrls and current_setting('server_version_num')::int >= 160000)"
        " from pg_roles where rolname = current_user"
    ).fetchone()
    if may and may[0]:
        connection.execute(sql.SQL("alter role {} bypassrls").format(role))
    row = connection.execute("select rolbypassrls from pg_roles where rolname = %s", (WORKER,)).fetchone()
    return bool(row and row[0])


def _give_path(connection: Connection) -> None:
    """Triggers that the worker fires find what they find for the owner: on Supabase the schema `extensions`."""
    worker = sql.Identifier(WORKER)
    row = connection.execute("select current_database()").fetchone()
    assert row is not None, "a select without a table is one row"
    connection.execute("set local search_path to default")
    connection.execute(
        sql.SQL("alter role {} in database {} set search_path from current").format(worker, sql.Identifier(row[0]))
    )
    schemas = connection.execute(_GRANTABLE).fetchall()
    connection.execute(sql.SQL("set local search_path = {}").format(sql.SQL(OUR_PATH)))
    for (schema,) in schemas:
        connection.execute(sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(schema), worker))


def _grant_own(connection: Connection, *, bypasses: bool) -> None:
    """Grant our own records to the worker; nobody else sees them."""
    role = sql.Identifier(WORKER)
    connection.execute(sql.SQL("grant usage on schema hybrid_sync to {}").format(role))
    connection.execute(
        sql.SQL("grant select, insert, update, delete on all tables in schema hybrid_sync to {}").format(role)
    )
    connection.execute(sql.SQL("revoke update, delete on hybrid_sync.audit from {}").format(role))
    # Nor does anybody of ours take a person off the list of the erased.
    connection.execute(
        sql.SQL("revoke update, delete on hybrid_sync.erasure, hybrid_sync.suppressed from {}").format(role)
    )
    # What is written there is executed with the owner's rights.
    connection.execute(
        sql.SQL("revoke insert, update, delete on hybrid_sync.bulk_table, hybrid_sync.bulk_part from {}").format(role)
    )
    connection.execute(sql.SQL("revoke update, delete on hybrid_sync.id_secret from {}").format(role))
    connection.execute(sql.SQL("grant usage on all sequences in schema hybrid_sync to {}").format(role))
    connection.execute(sql.SQL("grant execute on all functions in schema hybrid_sync to {}").format(role))
    connection.execute("revoke all on schema hybrid_sync from public")
    for (name,) in connection.execute(_RLS).fetchall():
        connection.execute(sql.SQL("alter table {} enable row level security").format(sql.Identifier(*split(name))))
    if not bypasses:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'hybrid_sync'").fetchall()
        for (name,) in tables:
            _policy(connection, "hybrid_sync", name)


def _open_rest(connection: Connection) -> None:
    """Open the way by REST: PostgREST may become the worker, and only the worker may call these functions."""
    role = sql.Identifier(WORKER)
    connection.execute(sql.SQL("grant usage on schema hybrid_sync_api to {}").format(role))
    connection.execute(sql.SQL("grant execute on all functions in schema hybrid_sync_api to {}").format(role))
    if connection.execute("select from pg_roles where rolname = 'authenticator'").fetchone() is not None:
        connection.execute(sql.SQL("grant {} to authenticator").format(role))


def _grant_mapped(connection: Connection, catalog: Catalog, *, bypasses: bool) -> None:
    """The mapped tables, with what fills their other columns; delete because undoing a run removes what it inserted."""
    role = sql.Identifier(WORKER)
    for entity in catalog.entities.values():
        schema, name = split(entity.target)
        found = connection.execute("select to_regclass(format('%%I.%%I', %s::text, %s::text))", (schema, name))
        if (row := found.fetchone()) is None or row[0] is None:
            continue
        connection.execute(sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(schema), role))
        connection.execute(
            sql.SQL("grant select, insert, update, delete on {} to {}").format(table(entity.target), role)
        )
        if not bypasses:
            _policy(connection, schema, name)
    for schema, name in connection.execute(*sequences.without_usage(catalog, WORKER)).fetchall():
        connection.execute(sql.SQL("grant usage on sequence {} to {}").format(sql.Identifier(schema, name), role))
    record_tables(connection, catalog)


def _policy(connection: Connection, schema: str, name: str) -> None:
    if connection.execute(_POLICIES, (schema, name, WORKER)).fetchone():
        return
    connection.execute(
        sql.SQL("create policy {role} on {table} for all to {role} using (true) with check (true)").format(
            role=sql.Identifier(WORKER), table=sql.Identifier(schema, name)
        )
    )
