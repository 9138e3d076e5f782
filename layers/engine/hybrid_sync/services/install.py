"""Prepare the target from inside the deployment: an owner's DSN comes in, is used once, and is kept nowhere."""

from __future__ import annotations

import json
from secrets import token_urlsafe

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.contracts import Message
from hybrid_sync.errors import RequestRejected
from hybrid_sync.servers import dsn, supabase
from hybrid_sync.services.desk import Asked, Desk, Secret

_SECRET_BYTES = 65_536  # as many as Secrets Manager takes


class InstallAsked(Asked):
    """DSNs as the owner of the target and as the reader of legacy, and how functions reach both (`schema.install.Way`).

    What is None stays as the secret has it.  No log, error or record shows a DSN or a CA.
    """

    target_dsn: SecretStr
    target_ca: SecretStr | None = None
    pooler: str | None = None
    legacy_dsn: SecretStr | None = None
    legacy_ca: SecretStr | None = None
    supabase_url: str | None = None
    """Whose people may sign in; where nothing says so, those of the project that the target's DSN names."""
    supabase_jwt_secret: SecretStr | None = None
    ipv6: bool = False
    new_password: bool = False


class Installed(Message):
    """`legacy`: whether the secret holds a way to legacy now."""

    legacy: bool


def install(desk: Desk, asked: InstallAsked, _: str) -> Installed:
    """As `prepare`, with the deployment's own secret."""
    return prepare(desk.secret, desk.catalog, asked)


def prepare(secret: Secret, catalog: Catalog, asked: InstallAsked) -> Installed:
    """Migrations, role and grants; then the functions' DSNs go into the secret, whose rest stays.

    Safe to repeat.  RequestRejected where the target's role or schema is another deployment's.
    """
    from hybrid_sync.schema.install import Way  # what no other command needs
    from hybrid_sync.schema.install import install as install_target

    held = secret.held()
    held.setdefault("deployment", secret.name)
    target_ca, legacy_ca = (
        _text(asked.target_ca) or held.get("target_ca"),
        _text(asked.legacy_ca) or held.get("legacy_ca"),
    )
    # What is wrong with legacy or the CAs is said before anything is done.
    if asked.legacy_dsn is not None:
        held["legacy_dsn"] = _legacy_for_functions(asked.legacy_dsn.get_secret_value(), legacy_ca, ipv6=asked.ipv6)
    held.update({name: ca for name, ca in (("target_ca", target_ca), ("legacy_ca", legacy_ca)) if ca})
    _let_people_sign_in(held, asked)
    _require_room(held)
    present = None if asked.new_password else _password_in(held.get("target_dsn"))
    held["target_dsn"] = install_target(
        asked.target_dsn.get_secret_value(), present or token_urlsafe(32), catalog, new_password=asked.new_password,
        way=Way(target_ca, asked.pooler, asked.ipv6), deployment=held["deployment"],
    )  # fmt: skip
    secret.fill(held)
    return Installed(legacy=bool(held.get("legacy_dsn")))


def _let_people_sign_in(held: dict[str, str], asked: InstallAsked) -> None:
    """Into the secret goes what proves them; ConfigurationMissing where that is no project."""
    known = asked.supabase_url or held.get("supabase_url")
    found = known or supabase.project_url(dsn.read(asked.target_dsn.get_secret_value(), "target"))
    if found:
        held["supabase_url"] = supabase.checked_url(found)
    if asked.supabase_jwt_secret is not None:
        held["supabase_jwt_secret"] = asked.supabase_jwt_secret.get_secret_value()


def _require_room(held: dict[str, str]) -> None:
    """RequestRejected where CAs are too many for a secret; a new DSN is as long as the old one, or a kilobyte."""
    size = len(json.dumps(held)) + 1024
    if size > _SECRET_BYTES:
        raise RequestRejected(
            f"The secret would have {size // 1024} KB and can have {_SECRET_BYTES // 1024}.",
            "Name CA files with fewer certificates (RDS and Aurora: <region>-bundle.pem, not global-bundle.pem).",
        )


def _text(given: SecretStr | None) -> str | None:
    return given.get_secret_value() if given is not None else None


def _legacy_for_functions(given: str, ca: str | None, *, ipv6: bool) -> str:
    """The legacy DSN as functions use it: a way that they have, TLS that verifies, no path of this machine."""
    dsn.secured(given, "legacy", ca)
    held = dsn.read(given, "legacy")
    usable = dsn.portable(supabase.for_functions(held, "legacy", ipv6=ipv6))
    return given if usable == held else make_conninfo(**usable)


def _password_in(known: str | None) -> str | None:
    """The worker's present password: functions at work keep theirs until they read the secret again."""
    try:
        return str(conninfo_to_dict(known).get("password") or "") or None if known else None
    except ProgrammingError:  # a person wrote something else there
        return None
