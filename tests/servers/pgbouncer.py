"""A real pgbouncer in front of databases of a test, with a few server connections for each of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.binaries import clean_environment, find
from hybrid_sync_cli.stack.processes import Processes, free_port, wait_until
from tests.servers.npm import printed

Mode = Literal["session", "transaction"]
_INSTALL = Path(__file__).with_name("pgbouncer.sh")


@dataclass(frozen=True)
class Pooler:
    """Where it listens, and who may look into it; everything else of a DSN stays as it was."""

    port: int
    user: str
    password: str
    sslmode: str = "prefer"

    def through(self, dsn: str) -> str:
        """The same database, by the pooler."""
        return make_conninfo(dsn, host="127.0.0.1", port=self.port)

    def server_connections(self, database: str) -> int:
        """How many connections it holds to the server of a database."""
        with self._console() as console:
            found = console.execute("show servers")
            names = [column.name for column in found.description or ()]
            return sum(row[names.index("database")] == database for row in found.fetchall())

    def pause(self, database: str) -> None:
        """Statements wait from here on; returns when none is at work."""
        with self._console() as console:
            console.execute(f"pause {database}".encode())

    def resume(self, database: str) -> None:
        with self._console() as console:
            console.execute(f"resume {database}".encode())

    def answers(self) -> bool:
        try:
            self._console().close()
        except psycopg.OperationalError:
            return False
        return True

    def _console(self) -> psycopg.Connection[tuple[Any, ...]]:
        admin = make_conninfo(
            host="127.0.0.1", port=self.port, dbname="pgbouncer", user=self.user, password=self.password,
            sslmode=self.sslmode,
        )  # fmt: skip
        return psycopg.connect(admin, autocommit=True, cursor_factory=psycopg.ClientCursor)


@contextmanager
def pooled(folder: Path, mode: Mode, slots: int, *dsns: str) -> Iterator[Pooler]:
    """A pooler for these databases and their users; gone at the end."""
    parts = [{name: str(value) for name, value in conninfo_to_dict(dsn).items()} for dsn in dsns]
    databases = {one["dbname"]: f"host={one['host']} port={one['port']}" for one in parts}
    settings = {"pool_mode": mode, "default_pool_size": slots, "query_wait_timeout": 20}
    users = {one["user"]: one["password"] for one in parts}
    pooler = Pooler(free_port(None), parts[0]["user"], parts[0]["password"])
    with serve(folder, pooler, databases, users, settings):
        yield pooler


@contextmanager
def serve(
    folder: Path,
    pooler: Pooler,
    databases: Mapping[str, str],
    users: Mapping[str, str],
    settings: Mapping[str, str | int],
    files: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Run pgbouncer there with these settings; files lie beside them, where its user alone can read them."""
    program = printed(_INSTALL)
    place = home.reachable(folder) / f"pgbouncer-{pooler.port}"
    place.mkdir(mode=0o711)
    common = {
        "listen_addr": "127.0.0.1", "listen_port": pooler.port, "unix_socket_dir": "", "auth_type": "scram-sha-256",
        "auth_file": "users.txt", "admin_users": pooler.user,
    }  # fmt: skip
    texts = {
        "users.txt": "".join(f'"{user}" "{password}"\n' for user, password in users.items()),
        "pgbouncer.ini": f"[databases]\n{_lines(databases)}[pgbouncer]\n{_lines({**common, **settings})}",
        **(files or {}),
    }
    for name, text in texts.items():
        path = place / name
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
    user = find().user  # it refuses to run as root, as servers do
    for path in (place, *place.iterdir()) if user else ():
        shutil.chown(path, user)
    processes = Processes(folder)
    try:
        server = processes.start(place.name, [program, "pgbouncer.ini"], env=clean_environment(), user=user, cwd=place)
        wait_until(
            pooler.answers,
            seconds=10,
            failed=lambda: None if server.poll() is None else processes.log_tail(place.name),
            what="pgbouncer",
        )
        yield place
    finally:
        processes.stop(place.name)
        shutil.rmtree(place, ignore_errors=True)


def _lines(settings: Mapping[str, str | int]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())
