"""A server with Supabase's roles whose databases are copied from a project, bare or with the engine's schema in it.

A copy takes a fraction of what making one by its statements does, and tests make a database each.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import psycopg
from psycopg import sql

from hybrid_sync.schema.install import WORKER, install
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster
from tests.servers.memory import is_memory

_NONE = sql.SQL("")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Projects:
    """`password` is that of every role; it guards nothing."""

    server: Cluster
    password: str
    _templates: dict[bool, str] = field(default_factory=dict)

    @contextmanager
    def copy(self, name: str, *, installed: bool) -> Iterator[str]:
        """The name of a project's database, gone afterwards whoever is still connected."""
        if installed not in self._templates:
            self._templates[installed] = self._template(installed=installed)
        unique = new_name(name)
        template = sql.SQL("template {}").format(sql.Identifier(self._templates[installed]))
        with created(self.server, unique, template):
            with psycopg.connect(self.server.dsn(unique), autocommit=True) as connection:
                supabase.bootstrap_copy(connection)
            yield unique

    def admin_dsn(self, database: str) -> str:
        """As the project's owner has it."""
        return self.server.dsn(database, supabase.ADMIN, self.password)

    def _template(self, *, installed: bool) -> str:
        """Made once per server, and anew for another engine: a home may be lent to sessions that run in turn."""
        name = f"{'installed' if installed else 'bare'}_{_fingerprint()}"
        with psycopg.connect(self.server.dsn(), autocommit=True) as server:
            if server.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                return name
            draft = f"{name}_draft"
            server.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(draft)))
            server.execute(sql.SQL("create database {}").format(sql.Identifier(draft)))
            self.bootstrap(draft)
            if installed:
                install(self.admin_dsn(draft), self.password)
                log_in_quickly(self.server, self.password, WORKER)
            server.execute(
                sql.SQL("alter database {} rename to {}").format(sql.Identifier(draft), sql.Identifier(name))
            )
        return name

    def bootstrap(self, database: str) -> None:
        """Make a database look like a Supabase project's."""
        supabase.bootstrap(
            self.server.dsn(database), admin_password=self.password, authenticator_password=self.password
        )
        log_in_quickly(self.server, self.password, supabase.ADMIN, supabase.AUTHENTICATOR)


def _fingerprint() -> str:
    """Of everything that a template is made by."""
    content = hashlib.sha256()
    for package in ("hybrid_sync.schema", "hybrid_sync_cli.stack"):
        root = Path(str(resources.files(package)))
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.sql")]):
            content.update(path.read_bytes())
    return content.hexdigest()[:12]


def new_name(name: str) -> str:
    """One that no other database of this session has."""
    return f"{name}_{os.getpid()}_{next(_numbers)}"


@contextmanager
def created(server: Cluster, name: str, options: sql.Composable = _NONE) -> Iterator[None]:
    """A database, gone afterwards whoever is still connected."""
    # Copying a template block by block through the log spares a disk; memory is faster with its files as they are.
    by_file = sql.SQL("strategy file_copy") if server.binaries.major >= 15 and is_memory(server.directory) else _NONE
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} {} {}").format(sql.Identifier(name), options, by_file))
    try:
        yield
    finally:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def log_in_quickly(server: Cluster, password: str, *roles: str) -> None:
    """Hash these roles' passwords once at each login: 4,096 times would be most of a short test."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for role in roles:
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(_verifier(password)))
            )


def _verifier(password: str) -> str:
    """What a server keeps of a password, after a single round of hashing (RFC 5803)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    kept = (base64.b64encode(part).decode() for part in (salt, stored, hmac.digest(salted, b"Server Key", "sha256")))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*kept)
