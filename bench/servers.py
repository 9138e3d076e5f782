"""A PostgreSQL server of the benchmark's own, which is gone afterwards."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from psycopg import sql

from hybrid_sync.postgres import connect
from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes


@contextmanager
def server() -> Iterator[Callable[[str, str], str]]:
    """Call with a name and an encoding for the DSN of a new empty database."""
    folder = Path(mkdtemp(prefix="bench-", dir=home.directory()))
    cluster = Cluster("bench", home.reachable(folder) / "bench", "postgres", secrets.token_urlsafe(), Processes(folder))

    def create(name: str, encoding: str = "UTF8") -> str:
        with connect(cluster.dsn(), "target") as admin:
            admin.execute(
                sql.SQL(
                    "create database {} encoding {} lc_collate 'C' lc_ctype 'C' locale_provider libc template template0"
                ).format(sql.Identifier(name), sql.Literal(encoding))
            )
        return cluster.dsn(name)

    try:
        cluster.ensure()
        yield create
    finally:
        cluster.destroy()
        for path in {home.reachable(folder), folder}:
            shutil.rmtree(path, ignore_errors=True)
