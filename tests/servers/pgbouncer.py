"""A real pgbouncer in front of databases of a test, with a few server connections for each of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.binaries import clean_environment, find
from hybrid_sync_cli.stack.processes import Processes, free_port, wait_until
from tests.servers.versions import printed

Mode = Literal["session", "transaction"]
_INSTALL = Path(__file__).with_name("pgbouncer.sh")
_CONFIG = """
[databases]
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = {slots}
query_wait_timeout = 20
stats_users = {users}
"""


@dataclass(frozen=True)
class Pooler:
    """Where it listens; everything else of a DSN stays as it was."""

    port: int
    user: str
    password: str

    def through(self, dsn: str) -> str:
        """The same database, by the pooler."""
        return make_conninfo(dsn, host="127.0.0.1", port=self.port)

    def server_connections(self, database: str) -> int:
        """How many connections it holds to the server of a database."""
        admin = make_conninfo(
            host="127.0.0.1", port=self.port, dbname="pgbouncer", user=self.user, password=self.password
        )  # fmt: skip
        with psycopg.connect(admin, autocommit=True, cursor_factory=psycopg.ClientCursor) as console:
            found = console.execute("show servers")
            names = [column.name for column in found.description or ()]
            return sum(row[names.index("database")] == database for row in found.fetchall())


@contextmanager
def pooled(folder: Path, mode: Mode, slots: int, *dsns: str) -> Iterator[Pooler]:
    """A pooler for these databases and their users; gone at the end."""
    program = printed(_INSTALL)
    parts = [{name: str(value) for name, value in conninfo_to_dict(dsn).items()} for dsn in dsns]
    place = home.reachable(folder) / f"pgbouncer-{mode}"
    place.mkdir(mode=0o711)
    pooler = Pooler(free_port(None), parts[0]["user"], parts[0]["password"])
    databases = "\n".join(f"{one['dbname']} = host={one['host']} port={one['port']}" for one in parts)
    (place / "pgbouncer.ini").write_text(
        _CONFIG.format(
            databases=databases, port=pooler.port, folder=place, mode=mode, slots=slots, users=parts[0]["user"]
        ),
        "utf-8",
    )
    users = place / "users.txt"
    users.touch(mode=0o600)
    users.write_text("".join(f'"{one["user"]}" "{one["password"]}"\n' for one in parts), "utf-8")
    if user := find().user:  # it refuses to run as root, as servers do
        for path in (place, users):
            shutil.chown(path, user)
    processes = Processes(folder)
    try:
        server = processes.start(
            place.name, [program, place / "pgbouncer.ini"], env=clean_environment(), user=user, cwd=Path("/")
        )  # fmt: skip
        wait_until(
            lambda: _answers(pooler, parts[0]["dbname"]),
            seconds=10,
            failed=lambda: None if server.poll() is None else processes.last_words(place.name),
            what="pgbouncer",
        )
        yield pooler
    finally:
        processes.stop(place.name)
        shutil.rmtree(place, ignore_errors=True)


def _answers(pooler: Pooler, database: str) -> bool:
    try:
        pooler.server_connections(database)
    except psycopg.OperationalError:
        return False
    return True
