"""Two servers of the benchmark's own, durable as a deployment's are, and a database for each contestant."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psutil
import psycopg
from psycopg import sql

from bench.peers.measure import of_server
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes

HERE = Path(__file__).parent
TEMPLATE = "world"
_LOGGED = 400
"""MB of log at scale 1: more than a first load of any contestant writes."""


class Durable(Cluster):
    """Survives a power cut; no autovacuum, which would be at work beside one contestant and not beside another.

    It keeps the files of its log: they are made only once, as on a server that has been at work for a day.
    """

    def arguments(self) -> list[str]:
        settings = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "autovacuum=off", "min_wal_size=1GB")
        return [part for setting in settings for part in ("-c", setting)]


@dataclass(frozen=True)
class Ground:
    """`folder` is everybody's to write to, and gone afterwards."""

    folder: Path
    legacy: Cluster
    target: Cluster
    scale: float

    def run(self, dsn: str, statements: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statements.encode())

    def create_legacy(self, name: str) -> str:
        """Legacy as it was made, in a database of this name; its DSN."""
        create(self.legacy, name, TEMPLATE)
        return self.legacy.dsn(name)

    def create_target(self, name: str, ddl: str) -> str:
        create(self.target, name)
        dsn = self.target.dsn(name)
        self.run(dsn, ddl)
        return dsn

    def settle(self) -> None:
        """What was written before costs nobody anything from here on."""
        for server in (self.legacy, self.target):
            self.run(server.dsn(), "checkpoint")

    def drop(self, name: str) -> None:
        _drop(self.legacy, name)
        self.drop_target(name)

    def drop_target(self, name: str) -> None:
        _drop(self.target, name)

    @staticmethod
    def count(dsn: str, table: str, schema: str = "public") -> int:
        with psycopg.connect(dsn) as connection:
            counted = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))
            row = connection.execute(counted).fetchone()
        assert row is not None
        return int(row[0])

    @staticmethod
    def empty(folder: Path) -> None:
        """There, and nothing in it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of both servers since they were started."""
        return of_server(self._postmaster(self.legacy)), of_server(self._postmaster(self.target))

    @staticmethod
    def _postmaster(server: Cluster) -> psutil.Process:
        return psutil.Process(int((server.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0]))


def _make_log(server: Cluster, megabytes: float) -> None:
    """Make the files of so much log: otherwise whoever comes first fills each of them with zeros before he writes."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        written = sql.SQL("create table filler as select repeat('-', 1000) from generate_series(1, {})")
        admin.execute(written.format(sql.Literal(round(megabytes * 1000))))
        admin.execute("drop table filler")
        admin.execute("checkpoint")


def _drop(server: Cluster, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def create(server: Cluster, name: str, template: str = "template0") -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


@contextmanager
def ground(scale: float) -> Iterator[Ground]:
    """Both servers, and legacy at this scale."""
    folder = Path(mkdtemp(prefix="bench-", dir=home.directory()))
    place, processes = home.reachable(folder), Processes(folder)
    legacy, target = (
        Durable(name, place / name, "postgres", secrets.token_urlsafe(), processes) for name in ("legacy", "target")
    )
    made = Ground(folder, legacy, target, scale)
    try:
        legacy.ensure()
        target.ensure()
        create(legacy, TEMPLATE)
        with psycopg.connect(legacy.dsn(TEMPLATE), autocommit=True) as connection:
            connection.execute("select set_config('bench.scale', %s, false)", (str(scale),))
            connection.execute((HERE / "legacy.sql").read_bytes())
            connection.execute("vacuum analyze")
        _make_log(target, _LOGGED * scale)
        yield made
    finally:
        legacy.destroy()
        target.destroy()
        for path in {place, folder}:
            shutil.rmtree(path, ignore_errors=True)
