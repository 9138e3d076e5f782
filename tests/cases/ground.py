"""Two throwaway servers, and for each case a fresh database on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.servers import memory
from tests.servers.projects import Projects, created, log_in_quickly, new_name

PASSWORD = "only-for-tests"  # nosec B105 - of servers that live as long as the cases


@dataclass(frozen=True)
class Ground:
    """The databases of one case; `legacy` and `target` are their owners' connection URLs."""

    legacy: str
    target: str
    target_superuser: str
    legacy_database: str
    legacy_port: int

    def legacy_as(self, role: str) -> str:
        """The connection URL of a plain login role, made when it is first asked for."""
        with psycopg.connect(self.legacy, autocommit=True) as connection:
            known = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
            verb = sql.SQL("alter" if known else "create")
            connection.execute(
                sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(role), sql.Literal(PASSWORD))
            )
        return f"postgresql://{quote(role)}:{PASSWORD}@127.0.0.1:{self.legacy_port}/{self.legacy_database}"


class Servers:
    """A legacy server and one with Supabase's roles."""

    def __init__(self, legacy: Cluster, target: Cluster) -> None:
        self._legacy = legacy
        self._projects = Projects(target, PASSWORD)
        self._projects.bootstrap("postgres")

    @contextmanager
    def ground(self, options: str = "") -> Iterator[Ground]:
        """Fresh databases, gone afterwards whoever is still connected."""
        legacy = new_name("case")
        with created(self._legacy, legacy, sql.SQL(options)), self._projects.copy("case", installed=True) as target:
            yield Ground(
                self._legacy.dsn(legacy), self._projects.admin_dsn(target), self._projects.server.dsn(target), legacy,
                self._legacy.port,
            )  # fmt: skip


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Two servers in `folder`, destroyed at the end."""
    processes = Processes(folder)
    place = memory.place(folder)
    legacy = Cluster("cases-legacy", place / "cases-legacy", "postgres", PASSWORD, processes)
    target = Cluster("cases-target", place / "cases-target", supabase.SUPERUSER, PASSWORD, processes)
    try:
        for cluster in (legacy, target):
            cluster.ensure()
            log_in_quickly(cluster, PASSWORD, cluster.superuser)
        yield Servers(legacy, target)
    finally:
        for cluster in (legacy, target):
            cluster.destroy()
