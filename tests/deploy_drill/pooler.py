"""pgbouncer as a hosted project has it: transaction mode, TLS on both sides, few connections, roles that come later."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.binaries import clean_environment, find
from hybrid_sync_cli.stack.processes import Processes, free_port, wait_until
from tests.servers import pgbouncer
from tests.servers.tls import TlsServer

SLOTS = 8
HOST = "pooler.example.test"
_INSTALL = Path(pgbouncer.__file__).with_name("pgbouncer.sh")
_CONFIG = """
[databases]
{database} = host=127.0.0.1 port={server} auth_user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users.txt
auth_query = select usename, passwd from pg_catalog.pg_shadow where usename = $1
pool_mode = transaction
default_pool_size = {slots}
max_db_connections = {slots}
server_idle_timeout = 2
query_wait_timeout = 600
client_tls_sslmode = require
client_tls_cert_file = {folder}/server.crt
client_tls_key_file = {folder}/server.key
server_tls_sslmode = require
admin_users = {user}
"""


@dataclass(frozen=True)
class Pooler:
    """The only way to one database, for people and for functions."""

    port: int
    database: str
    user: str
    password: str

    def url(self, user: str, password: str) -> str:
        """By a name, since an address of this machine need not prove anything by TLS."""
        return f"postgresql://{user}:{password}@{HOST}:{self.port}/{self.database}?hostaddr=127.0.0.1"

    def pause(self) -> None:
        """Statements wait from here on; returns when none is at work."""
        self._say(f"pause {self.database}")

    def resume(self) -> None:
        self._say(f"resume {self.database}")

    def _say(self, command: str) -> None:
        with psycopg.connect(
            make_conninfo(
                host="127.0.0.1", port=self.port, dbname="pgbouncer", user=self.user, password=self.password,
                sslmode="require",
            ),
            autocommit=True, cursor_factory=psycopg.ClientCursor,
        ) as console:  # fmt: skip
            console.execute(command.encode())


@contextmanager
def pooled(folder: Path, server: TlsServer, database: str) -> Iterator[Pooler]:
    """A pooler for every role of one database; it proves itself by a certificate of the server's CA."""
    program = subprocess.run([_INSTALL], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    place = home.reachable(folder) / "pgbouncer"
    place.mkdir(mode=0o711)
    cluster = server.cluster
    pooler = Pooler(free_port(None), database, cluster.superuser, cluster.password)
    certificate, key = server.authority.issue(HOST)
    files = {
        "server.crt": certificate,
        "server.key": key,
        "users.txt": f'"{pooler.user}" "{pooler.password}"\n',
        "pgbouncer.ini": _CONFIG.format(
            database=database, server=cluster.port, user=pooler.user, port=pooler.port, folder=place, slots=SLOTS
        ),
    }
    for name, text in files.items():
        path = place / name
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
    if user := find().user:  # it refuses to run as root, as servers do
        for path in (place, *place.iterdir()):
            shutil.chown(path, user)
    processes = Processes(folder)
    try:
        started = processes.start(
            "pgbouncer", [program, place / "pgbouncer.ini"], env=clean_environment(), user=user, cwd=Path("/")
        )

        def failed() -> str | None:
            return None if started.poll() is None else processes.last_words("pgbouncer")

        wait_until(lambda: _answers(pooler), seconds=10, failed=failed, what="pgbouncer")
        yield pooler
    finally:
        processes.stop("pgbouncer")
        shutil.rmtree(place, ignore_errors=True)


def _answers(pooler: Pooler) -> bool:
    try:
        psycopg.connect(pooler.url(pooler.user, pooler.password), sslmode="require", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
