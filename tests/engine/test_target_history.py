"""The target's own history: its transaction numbers come again after 2³², and say no less about who changed a row."""

from __future__ import annotations

import psycopg

from hybrid_sync_cli.stack.postgres import Cluster
from tests.engine.small import entity, small_world
from tests.engine.worlds import run

_FIRST = 1_000
"""A transaction whose number comes again: its part of pg_xact is there on a fresh server already."""


def a_round_later(cluster: Cluster) -> None:
    """Let 2³² transactions pass, and a few less: the next one has the number of an early one."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("update pg_database set datallowconn = true")
        names = [name for (name,) in connection.execute("select datname from pg_database").fetchall()]
    for name in names:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            connection.execute("vacuum freeze")
    cluster.stop()
    cluster.binaries.run("pg_resetwal", "-f", "-e", "1", "-x", str(_FIRST), "-D", cluster.data)
    cluster.ensure(cluster.port)


def test_a_native_change_that_is_younger_than_a_round_of_transaction_numbers_is_seen(
    legacy_db: str, own_legacy: Cluster
) -> None:
    with psycopg.connect(own_legacy.dsn(), autocommit=True) as server:
        server.execute("create database target")
        server.execute("do $$ begin for i in 1..2000 loop perform pg_current_xact_id(); commit; end loop; end $$")
    world = small_world(
        legacy_db, own_legacy.dsn("target"), "create table a (id int primary key, n int); insert into a values (1, 1)",
        "create table a (id uuid primary key, legacy_id bigint unique, n int)", entity(columns={"n": "a.n"}),
    )  # fmt: skip
    assert run(world, "first").outcome.status == "succeeded"

    a_round_later(own_legacy)
    with psycopg.connect(own_legacy.dsn("target"), autocommit=True) as native:
        native.execute("update a set n = 7")
        assert run(world, "second").outcome.status == "succeeded"
        assert native.execute("select n from a").fetchall() == [(7,)]
        told = native.execute("select origin, state from hybrid_sync.difference").fetchall()
    assert told == [("target", "confirmed")]
