"""A PostgreSQL with TLS, whose certificate can be exchanged while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from hybrid_sync_cli.stack import home
from hybrid_sync_cli.stack.authority import Authority
from hybrid_sync_cli.stack.postgres import Cluster
from hybrid_sync_cli.stack.processes import Processes
from tests.servers import versions

NAME = "db.example.test"
"""For whom its certificate is, besides 127.0.0.1."""


@dataclass
class TlsServer:
    """A running server; `authority` signed the certificate that it shows first."""

    cluster: Cluster
    authority: Authority = field(default_factory=lambda: Authority("The private CA"))
    _shown: int = 0

    def show(self, certificate: tuple[str, str]) -> None:
        """From here on, every new connection gets this certificate."""
        self._shown += 1
        files = {part: f"server-{self._shown}.{part}" for part in ("crt", "key")}
        for text, name in zip(certificate, files.values(), strict=True):
            path = self.cluster.data / name
            path.touch(mode=0o600)
            path.write_text(text, "ascii")
            if self.cluster.binaries.user:
                shutil.chown(path, self.cluster.binaries.user)
        self._set(ssl_cert_file=files["crt"], ssl_key_file=files["key"], ssl="on")

    def switch_off(self) -> None:
        """No TLS for new connections."""
        self._set(ssl="off")

    def url(self, host: str = NAME, database: str = "postgres", **options: str) -> str:
        """A DSN by a name, since what is on this machine need not prove anything by TLS."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return (
            f"postgresql://postgres:{self.cluster.password}@{host}:{self.cluster.port}/{database}"
            f"?hostaddr=127.0.0.1{more}"
        )

    def _set(self, **settings: str) -> None:
        with psycopg.connect(self._plain, autocommit=True) as admin:
            for name, value in settings.items():
                admin.execute(
                    sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value))
                )  # fmt: skip
            admin.execute("select pg_reload_conf()")
        # The postmaster has read its settings anew once a new session knows them.
        while any(self._setting(name) != value for name, value in settings.items()):
            pass

    @property
    def _plain(self) -> str:
        return f"{self.cluster.dsn()}?sslmode=disable"

    def _setting(self, name: str) -> str:
        with psycopg.connect(self._plain) as fresh:
            row = fresh.execute("select current_setting(%s)", (name,)).fetchone()
            assert row is not None
            return str(row[0])


def serve(folder: Path, password: str) -> Iterator[TlsServer]:
    """A server of PostgreSQL 15, which Debian builds with TLS; gone afterwards."""
    cluster = Cluster("tls", home.reachable(folder) / "tls", "postgres", password, Processes(folder))
    cluster.binaries = versions.of(15)
    try:
        cluster.ensure()
        server = TlsServer(cluster)
        server.show(server.authority.issue(NAME, "127.0.0.1"))
        yield server
    finally:
        cluster.destroy()
