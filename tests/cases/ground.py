"""Two throwaway servers, and for each case a fresh database on both."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from hybrid_sync.schema.install import install
from hybrid_sync_cli.stack import home, supabase
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes

PASSWORD = "only-for-tests"  # nosec B105 - of servers that live as long as the cases
_numbers = itertools.count(1)


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
        self._target = target
        self._template = f"prepared_{os.getpid()}"
        prepare(target, self._template)

    @contextmanager
    def ground(self, options: str = "") -> Iterator[Ground]:
        """Fresh databases, gone afterwards whoever is still connected."""
        name = f"case_{os.getpid()}_{next(_numbers)}"
        _execute(self._legacy, sql.SQL("create database {} {}").format(sql.Identifier(name), sql.SQL(options)))
        _execute(self._target, sql.SQL("create database {} template {}").format(
            sql.Identifier(name), sql.Identifier(self._template)
        ))  # fmt: skip
        bootstrap(self._target.dsn(name))  # what a database grants and sets is not copied with it
        try:
            yield Ground(
                self._legacy.dsn(name), self._target.dsn(name, supabase.ADMIN, PASSWORD), self._target.dsn(name), name,
                self._legacy.port,
            )  # fmt: skip
        finally:
            for cluster in (self._legacy, self._target):
                _execute(cluster, sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def close(self) -> None:
        _execute(
            self._target, sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(self._template))
        )


def prepare(target: Cluster, name: str) -> None:
    """A Supabase-like database with our schema in it, to copy from."""
    _execute(target, sql.SQL("create database {}").format(sql.Identifier(name)))
    bootstrap(target.dsn(name))
    install(target.dsn(name, supabase.ADMIN, PASSWORD), PASSWORD)


def bootstrap(dsn: str) -> None:
    """Make the database look like a Supabase project."""
    supabase.bootstrap(dsn, admin_password=PASSWORD, authenticator_password=PASSWORD)


def _execute(cluster: Cluster, statement: sql.Composable) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Two servers in `folder`, destroyed at the end."""
    processes = Processes(folder)
    place = home.reachable(folder)
    legacy = Cluster("cases-legacy", place / "cases-legacy", "postgres", PASSWORD, processes)
    target = Cluster("cases-target", place / "cases-target", supabase.SUPERUSER, PASSWORD, processes)
    try:
        for cluster in (legacy, target):
            cluster.ensure()
            _log_in_quickly(cluster)
        bootstrap(target.dsn())
        yield Servers(legacy, target)
    finally:
        for cluster in (legacy, target):
            cluster.destroy()


def _log_in_quickly(cluster: Cluster) -> None:
    """A password is hashed 4,096 times at each login, which is most of a short case; these guard nothing."""
    major = cluster.binaries.major
    if major >= 16:
        _execute(cluster, sql.SQL("alter system set scram_iterations = 1"))
        _execute(cluster, sql.SQL("select pg_reload_conf()"))
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("set scram_iterations = 1")
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(cluster.superuser), sql.Literal(PASSWORD))
            )
