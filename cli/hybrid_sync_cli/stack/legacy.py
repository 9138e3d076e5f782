"""The role as which the functions read legacy: it can see every table and change none."""

from __future__ import annotations

import psycopg
from psycopg import sql

READER = "hybrid_sync_reader"


def prepare_reader(dsn: str, password: str) -> None:
    """Create or update the reader in the database of `dsn` (its owner's); safe to repeat.

    It reads the tables of `public` that exist and those that this owner will create, and sees since when
    other sessions' transactions run (pg_read_all_stats), without which a bound by time stamps would fail open.
    """
    role = sql.Identifier(READER)
    with psycopg.connect(dsn) as connection:
        known = connection.execute("select 1 from pg_roles where rolname = %s", (READER,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("create role {}").format(role))
        for statement in (
            "alter role {} login inherit password {password}",
            "alter role {} set default_transaction_read_only = on",
            "grant pg_read_all_stats to {}",
            "grant usage on schema public to {}",
            "grant select on all tables in schema public to {}",
            "alter default privileges in schema public grant select on tables to {}",
        ):
            connection.execute(sql.SQL(statement).format(role, password=sql.Literal(password)))
