"""What is there before anybody deploys: two databases that demand TLS, each behind its pooler, and an empty account."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from hybrid_sync_cli.sample import generate
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.deploy_drill.pooler import pooled, url
from tests.servers import versions
from tests.servers.pgbouncer import Pooler
from tests.servers.tls import NAME, TlsServer

PASSWORD = secrets.token_urlsafe(16)
READER = "hybrid_sync_reader"
SCALE = 0.001
_CLIENTS = """
select count(*) from pg_stat_activity
where backend_type = 'client backend' and datname = %s and pid <> pg_backend_pid()
"""


@dataclass
class Side:
    """A database, as its owner sees it (`direct`) and as everybody else does."""

    server: TlsServer
    database: str
    pooler: Pooler

    @property
    def direct(self) -> str:
        return self.server.cluster.dsn(self.database)

    def pooled(self, user: str) -> str:
        return url(self.pooler, self.database, user, PASSWORD)


@dataclass
class Ground:
    """Both sides, and AWS."""

    legacy: Side
    target: Side
    aws: Aws
    most: int = 0
    """The most connections that a database had at any time that was looked at."""
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Count connections at both servers until the end."""
        sides = [self.legacy, self.target]
        watchers = [psycopg.connect(side.server.cluster.dsn(), autocommit=True) for side in sides]
        while not self._over.wait(0.05):
            for side, watcher in zip(sides, watchers, strict=True):
                row = watcher.execute(_CLIENTS, (side.database,)).fetchone()
                assert row is not None
                self.most = max(self.most, row[0])
        for watcher in watchers:
            watcher.close()


@contextmanager
def prepared(folder: Path) -> Iterator[Ground]:
    """Servers with a small world, the poolers, and the emulator; all gone afterwards."""
    with ExitStack() as opened:
        legacy = opened.enter_context(_server(folder / "legacy", "postgres"))
        target = opened.enter_context(_server(folder / "target", supabase.SUPERUSER))
        with psycopg.connect(legacy.cluster.dsn(), autocommit=True) as owner:
            owner.execute("create database legacy")
        supabase.bootstrap(target.cluster.dsn(), admin_password=PASSWORD, authenticator_password=PASSWORD)
        generate(legacy.cluster.dsn("legacy"), target.cluster.dsn("postgres", supabase.ADMIN, PASSWORD), SCALE, seed=7)
        _grant_as_printed(legacy.cluster.dsn("legacy"))
        for server in (legacy, target):
            _demand_tls(server)
        sides = [
            Side(server, database, opened.enter_context(pooled(folder / name, server, database)))
            for name, server, database in (("legacy", legacy, "legacy"), ("target", target, "postgres"))
        ]
        aws = Aws(Processes(folder / "aws"), strict=True)
        (folder / "aws").mkdir()
        opened.callback(aws.stop)
        aws.start(home.project_root() / ".venv-stack" / "bin" / "python", None)
        ground = Ground(*sides, aws)
        watcher = threading.Thread(target=ground.watch)
        watcher.start()
        try:
            yield ground
        finally:
            ground._over.set()
            watcher.join()


@contextmanager
def _server(folder: Path, superuser: str) -> Iterator[TlsServer]:
    folder.mkdir()
    cluster = Cluster("tls", home.reachable(folder) / "tls", superuser, PASSWORD, Processes(folder))
    cluster.binaries = versions.of(15)
    try:
        cluster.ensure()
        server = TlsServer(cluster)
        server.show(server.authority.issue(NAME))
        yield server
    finally:
        cluster.destroy()


def _demand_tls(server: TlsServer) -> None:
    rules = server.cluster.data / "pg_hba.conf"
    rules.write_text(re.sub(r"^host\b", "hostssl", rules.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
    with psycopg.connect(server.cluster.dsn(), autocommit=True) as admin:
        admin.execute("select pg_reload_conf()")


def _grant_as_printed(dsn: str) -> None:
    """The SQL of docs/security.md, with the tables that the catalog names for its examples, and nothing more."""
    printed = re.search(r"```sql\n-- legacy\n(.*?)```", Path("docs/security.md").read_text("utf-8"), re.DOTALL)
    assert printed is not None
    catalog = "\n".join(path.read_text("utf-8") for path in Path("layers/catalog").glob("*.yaml"))
    with psycopg.connect(dsn, autocommit=True) as owner:
        known = [name for (name,) in owner.execute("select tablename::text from pg_tables where schemaname = 'public'")]
        read = [name for name in known if re.search(rf"\b{name}\b", catalog)]
        for line in printed[1].splitlines():
            statement = line.partition("--")[0].strip().replace("'…'", f"'{PASSWORD}'")
            if statement.startswith("grant select on"):
                tables = sql.SQL(", ").join(map(sql.Identifier, read))
                owner.execute(sql.SQL("grant select on {} to {}").format(tables, sql.Identifier(READER)))
            elif statement and "only for entities" not in line:
                owner.execute(statement.encode())
