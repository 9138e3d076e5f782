"""The target looks and limits like a hosted Supabase project, and its API keys are signed as there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from importlib import resources

import psycopg
from psycopg import sql

SUPERUSER = "supabase_admin"
ADMIN = "postgres"  # what a project's owner gets: not a superuser, but BYPASSRLS
AUTHENTICATOR = "authenticator"  # what PostgREST logs in as
FOREVER = 4102444800  # 2100-01-01, in Unix seconds


def bootstrap(dsn: str, *, admin_password: str, authenticator_password: str) -> None:
    """Make the database of `dsn` (a superuser's) look like a Supabase project; safe to repeat."""
    script = resources.files(__package__).joinpath("supabase.sql").read_text("utf-8")
    with psycopg.connect(dsn) as connection:
        connection.execute(script.encode())
        bootstrap_copy(connection)
        for role, password in ((ADMIN, admin_password), (AUTHENTICATOR, authenticator_password)):
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(password)))


def bootstrap_copy(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """What a project's database sets and grants for itself, and a copy made of it lacks."""
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("alter database {} set statement_timeout = '2min'").format(database))
    connection.execute(
        sql.SQL("grant create, connect, temporary on database {} to {}").format(database, sql.Identifier(ADMIN))
    )


def api_key(role: str, secret: str) -> str:
    """The project's key for `role` (anon, service_role): a JWT signed with HS256 (RFC 7519)."""
    claims = {"iss": "supabase", "role": role, "iat": 0, "exp": FOREVER}
    body = b".".join(
        _encoded(json.dumps(part, separators=(",", ":")).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    )
    signature = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return (body + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
