"""pgbouncer as a hosted project has it: transaction mode, TLS on both sides, few connections, roles that come later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_sync_cli.stack.processes import free_port
from tests.servers.pgbouncer import Pooler, serve
from tests.servers.tls import TlsServer

SLOTS = 8
HOST = "pooler.example.test"
_SETTINGS: dict[str, str | int] = {
    "auth_query": "select usename, passwd from pg_catalog.pg_shadow where usename = $1",
    "pool_mode": "transaction",
    "default_pool_size": SLOTS,
    "max_db_connections": SLOTS,
    "server_idle_timeout": 2,
    "query_wait_timeout": 600,
    "client_tls_sslmode": "require",
    "client_tls_cert_file": "server.crt",
    "client_tls_key_file": "server.key",
    "server_tls_sslmode": "require",
}


def url(pooler: Pooler, database: str, user: str, password: str) -> str:
    """By a name, since an address of this machine need not prove anything by TLS."""
    return f"postgresql://{user}:{password}@{HOST}:{pooler.port}/{database}?hostaddr=127.0.0.1"


@contextmanager
def pooled(folder: Path, server: TlsServer, database: str) -> Iterator[Pooler]:
    """The only way to one database, for every role; it proves itself by a certificate of the server's CA."""
    cluster = server.cluster
    pooler = Pooler(free_port(None), cluster.superuser, cluster.password, sslmode="require")
    way = f"host=127.0.0.1 port={cluster.port} auth_user={pooler.user}"
    certificate, key = server.authority.issue(HOST)
    files = {"server.crt": certificate, "server.key": key}
    with serve(folder, pooler, {database: way}, {pooler.user: pooler.password}, _SETTINGS, files):
        yield pooler
