"""A small sample world in two fresh databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from hybrid_sync_cli.sample import World, generate
from hybrid_sync_cli.stack import supabase
from hybrid_sync_cli.stack.postgres import Cluster

SCALE = 0.002
ADMIN_PASSWORD = "only-for-tests"


@dataclass(frozen=True)
class Sampled:
    """Both DSNs, and what the generator says it made."""

    legacy: str
    target: str
    made: World


@pytest.fixture(scope="session")
def world(postgres: Cluster, supabase_postgres: Cluster) -> Iterator[Sampled]:
    """One world for all tests that only look at it."""
    with _database(postgres, "sampled"), _database(supabase_postgres, "sampled"):
        legacy, target = postgres.dsn("sampled"), supabase_postgres.dsn("sampled")
        supabase.bootstrap(target, admin_password=ADMIN_PASSWORD, authenticator_password=ADMIN_PASSWORD)
        yield Sampled(legacy, target, generate(legacy, target, SCALE, seed=3))


@pytest.fixture
def live(world: Sampled, postgres: Cluster, fresh_database: Callable[[str], str]) -> str:
    """The DSN of a copy of the world's legacy, to live in."""
    dsn = fresh_database("live")
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {}").format(sql.Identifier(str(name))))
        copy = sql.SQL("create database {} template sampled").format(sql.Identifier(str(name)))
        connection.execute(copy)
    return dsn


@contextmanager
def _database(cluster: Cluster, name: str) -> Iterator[None]:
    identifier = sql.Identifier(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(identifier))
        yield
        connection.execute(sql.SQL("drop database {} with (force)").format(identifier))


def tables(connection: psycopg.Connection) -> list[str]:
    """The tables of `public`, in order."""
    query = "select tablename::text from pg_tables where schemaname = 'public' order by 1"
    return [row[0] for row in connection.execute(query).fetchall()]


def snapshot(connection: psycopg.Connection, table: str) -> dict[tuple[int, ...], str]:
    """Each row of a legacy table by its primary key."""
    key = connection.execute(
        "select array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum)) "
        "from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) "
        "where i.indrelid = %s::regclass and i.indisprimary",
        (table,),
    ).fetchone()
    assert key is not None
    query = sql.SQL("select array[{}]::int8[], t::text from {} t").format(
        sql.SQL(", ").join(map(sql.Identifier, key[0])), sql.Identifier(table)
    )
    return {tuple(row[0]): row[1] for row in connection.execute(query).fetchall()}


def one(dsn: str, query: str, *values: object) -> object:
    """The single value of a query."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0]
