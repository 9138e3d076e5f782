"""Preparing a target: our schema by numbered migrations, a role of our own, and just the grants it needs."""

from __future__ import annotations

from importlib import resources

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.postgres import Connection, connect, translated
from hybrid_sync.target.structure import split, table

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
_POLICIES = "select 1 from pg_policies where schemaname = %s and tablename = %s and policyname = %s"


def install(admin_dsn: str, worker_password: str, catalog: Catalog | None = None) -> str:
    """Bring the target up to date; safe to repeat.

    Applies the migrations that are missing, creates or updates the worker role, and grants it the mapped tables of
    `catalog` that exist.  Returns the worker's DSN.  All in one transaction: a failure leaves nothing half-done.
    """
    with connect(admin_dsn, "target") as connection, translated("target"), connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('hybrid_sync.install'))")
        _migrate(connection)
        bypasses = _role(connection, worker_password)
        _grant_own(connection, bypasses=bypasses)
        if catalog is not None:
            _grant_mapped(connection, catalog, bypasses=bypasses)
    parts = conninfo_to_dict(admin_dsn)
    user = str(parts.get("user") or "")
    # Supabase's shared pooler finds the project by a suffix of the user's name.
    suffix = user[user.index(".") :] if "." in user and "pooler" in str(parts.get("host")) else ""
    return make_conninfo(admin_dsn, user=WORKER + suffix, password=worker_password)


def grant(admin_dsn: str, catalog: Catalog) -> None:
    """Give the worker role its rights on the mapped tables that exist by now; safe to repeat."""
    with connect(admin_dsn, "target") as connection, translated("target"), connection.transaction():
        row = connection.execute("select rolbypassrls from pg_roles where rolname = %s", (WORKER,)).fetchone()
        _grant_mapped(connection, catalog, bypasses=bool(row and row[0]))


def _migrate(connection: Connection) -> None:
    connection.execute(_TRACK)
    done = {row[0] for row in connection.execute("select name from hybrid_sync.migration").fetchall()}
    folder = resources.files("hybrid_sync.target") / "migrations"
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name):
        if file.name not in done:
            connection.execute(file.read_text(encoding="utf-8").encode())
            connection.execute("insert into hybrid_sync.migration (name) values (%s)", (file.name,))


def _role(connection: Connection, password: str) -> bool:
    """Create or update the worker; True when it can be excused from row security (PostgreSQL 16 on, or superuser)."""
    role = sql.Identifier(WORKER)
    exists = connection.execute("select 1 from pg_roles where rolname = %s", (WORKER,)).fetchone()
    verb = sql.SQL("alter") if exists else sql.SQL("create")
    connection.execute(sql.SQL("{} role {} login noinherit password {}").format(verb, role, sql.Literal(password)))
    may = connection.execute(
        "select rolsuper or (rolbypassrls and current_setting('server_version_num')::int >= 160000)"
        " from pg_roles where rolname = current_user"
    ).fetchone()
    if may and may[0]:
        connection.execute(sql.SQL("alter role {} bypassrls").format(role))
    row = connection.execute("select rolbypassrls from pg_roles where rolname = %s", (WORKER,)).fetchone()
    return bool(row and row[0])


def _grant_own(connection: Connection, *, bypasses: bool) -> None:
    """Our records: the worker reads and writes them, nobody else sees them."""
    role = sql.Identifier(WORKER)
    connection.execute(sql.SQL("grant usage on schema hybrid_sync to {}").format(role))
    connection.execute(
        sql.SQL("grant select, insert, update, delete on all tables in schema hybrid_sync to {}").format(role)
    )
    connection.execute(sql.SQL("grant usage on all sequences in schema hybrid_sync to {}").format(role))
    connection.execute(sql.SQL("grant execute on all functions in schema hybrid_sync to {}").format(role))
    connection.execute("revoke all on schema hybrid_sync from public")
    for (name,) in connection.execute(_RLS).fetchall():
        connection.execute(sql.SQL("alter table {} enable row level security").format(sql.Identifier(*split(name))))
    if not bypasses:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'hybrid_sync'").fetchall()
        for (name,) in tables:
            _policy(connection, "hybrid_sync", name)


def _grant_mapped(connection: Connection, catalog: Catalog, *, bypasses: bool) -> None:
    """The mapped tables only; delete because undoing a run removes what it inserted."""
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


def _policy(connection: Connection, schema: str, name: str) -> None:
    if connection.execute(_POLICIES, (schema, name, WORKER)).fetchone():
        return
    connection.execute(
        sql.SQL("create policy {role} on {table} for all to {role} using (true) with check (true)").format(
            role=sql.Identifier(WORKER), table=sql.Identifier(schema, name)
        )
    )
