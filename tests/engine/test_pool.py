"""A worker keeps connections: few, for a short time, clean, and none that is dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from threading import Barrier, get_ident

import psycopg
import pytest

from hybrid_sync.errors import LegacyUnavailable, TargetUnavailable
from hybrid_sync.pool import IDLE_SECONDS, LIFE_SECONDS, MOST, Pool, PooledConnection, is_kept
from hybrid_sync.postgres import Connection, Side, send_with_next, together, transaction
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld


class Clock:
    """A time that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[Pool]:
    kept = Pool(clock)
    yield kept
    kept.close()


def connected(pool: Pool, dsn: str) -> PooledConnection:
    return pool.connect(dsn, "target")


def used(pool: Pool, dsn: str) -> int:
    """The server process of a connection that is used once."""
    with connected(pool, dsn) as connection, transaction(connection, "target"):
        return pid(connection)


def pid(connection: Connection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def end(dsn: str, process: int) -> None:
    """End a session, and wait until it has gone."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(%s)", (process,))
        while admin.execute("select from pg_stat_activity where pid = %s", (process,)).fetchone():
            pass


def test_each_attempt_at_a_new_connection_is_guarded_and_none_is_for_one_that_is_kept(
    clock: Clock, target_db: str
) -> None:
    guarded: list[str] = []
    pool = Pool(clock, guarding=lambda side: nullcontext(guarded.append(side)))
    first = used(pool, target_db)
    assert used(pool, target_db) == first
    assert guarded == ["target"]
    with connected(pool, target_db) as connection:
        end(target_db, first)
        with transaction(connection, "target"):
            assert pid(connection) != first
    assert guarded == ["target", "target"]  # the second one has taken the place of the first
    pool.forget("legacy")
    used(pool, target_db)
    assert len(guarded) == 2
    pool.forget("target")
    used(pool, target_db)
    assert len(guarded) == 3
    pool.close()


def test_a_connection_is_used_again(pool: Pool, target_db: str) -> None:
    assert used(pool, target_db) == used(pool, target_db)


def test_one_that_has_ended_while_it_was_kept_is_not_handed_out(pool: Pool, target_db: str) -> None:
    gone = used(pool, target_db)
    end(target_db, gone)
    assert used(pool, target_db) != gone


def test_one_that_ends_before_its_first_statement_is_replaced_without_a_word(pool: Pool, target_db: str) -> None:
    gone = used(pool, target_db)
    with connected(pool, target_db) as connection:
        end(target_db, gone)
        with transaction(connection, "target"):
            assert pid(connection) != gone
            assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_one_that_ends_in_a_transaction_is_an_outage(pool: Pool, target_db: str) -> None:
    used(pool, target_db)
    with (
        pytest.raises(TargetUnavailable),
        connected(pool, target_db) as connection,
        transaction(connection, "target"),
    ):
        end(target_db, pid(connection))
        send_with_next(connection, "set local work_mem = '4MB'")
        connection.execute("select 1")


def test_a_commit_is_not_sent_twice(pool: Pool, target_db: str) -> None:
    """The lost session may have done it."""
    gone = used(pool, target_db)
    with connected(pool, target_db) as connection:
        end(target_db, gone)
        with (
            pytest.raises(TargetUnavailable),
            transaction(connection, "target"),
            together(connection, commits=True) as trip,
        ):
            trip.do("select 1")


def test_one_that_is_left_in_a_transaction_is_not_kept(pool: Pool, target_db: str) -> None:
    connection = connected(pool, target_db)
    left = pid(connection)
    connection.execute("begin")
    connection.close()
    assert used(pool, target_db) != left


def test_where_there_are_few_none_is_kept(clock: Clock, target_db: str) -> None:
    pool = Pool(clock, keeps=False)
    first = connected(pool, target_db)
    first.close()
    assert first.closed
    assert connected(pool, target_db) is not first


def test_where_there_are_few_one_is_used_again_until_the_end_of_its_call_and_not_kept_beyond(
    clock: Clock, target_db: str
) -> None:
    pool = Pool(clock, keeps=False)
    pool.begin_call()
    first = connected(pool, target_db)
    first.close()
    with connected(pool, target_db) as again:
        assert again is first
    pool.end_call()
    assert first.closed
    after = connected(pool, target_db)
    after.close()
    assert after.closed


def test_the_end_of_a_call_leaves_those_that_are_kept(pool: Pool, target_db: str) -> None:
    pool.begin_call()
    first = used(pool, target_db)
    pool.end_call()
    assert used(pool, target_db) == first


def test_few_are_kept_and_none_for_long(pool: Pool, clock: Clock, target_db: str) -> None:
    many = [connected(pool, target_db) for _ in range(MOST + 1)]
    for connection in many:
        connection.close()
    assert [connection.closed for connection in many] == [False] * MOST + [True]
    clock.now += IDLE_SECONDS + 1
    first = used(pool, target_db)
    assert all(connection.closed for connection in many)
    for _ in range(LIFE_SECONDS // IDLE_SECONDS):
        clock.now += IDLE_SECONDS
        last = used(pool, target_db)
    assert last == first
    clock.now += IDLE_SECONDS
    assert used(pool, target_db) != first


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("db.abc.supabase.co:5432", True),
        ("aws-0-eu-central-1.pooler.supabase.com:6543", True),
        ("aws-0-eu-central-1.pooler.supabase.com:5432", False),
        ("aws-0-eu-central-1.pooler.supabase.com", False),
    ],
)
def test_a_slot_of_a_pooler_in_session_mode_is_given_back(place: str, kept: bool) -> None:
    assert is_kept(f"postgresql://worker:secret@{place}/postgres") is kept


def test_the_server_ends_what_a_frozen_worker_keeps(world: EngineWorld, target: Query) -> None:
    assert target("select 'idle_session_timeout=2min' = any(rolconfig) from pg_roles where rolname like 'hybrid%'") == [
        (True,)
    ]


def test_sessions_to_both_databases_are_opened_at_the_same_time(pool: Pool, target_db: str) -> None:
    met = Barrier(2, timeout=30)  # each opens only once the other one is about to

    def opened(side: Side) -> PooledConnection:
        met.wait()
        return pool.connect(target_db, side)

    for connection in pool.at_once(lambda: opened("legacy"), lambda: opened("target"), [(target_db, None)]):
        with connection, transaction(connection, "target"):
            assert pid(connection)


def test_no_thread_is_started_where_one_of_both_is_kept(pool: Pool, target_db: str) -> None:
    used(pool, target_db)
    threads = []

    def opened(side: Side) -> PooledConnection:
        threads.append(get_ident())
        return pool.connect(target_db, side)

    for connection in pool.at_once(lambda: opened("legacy"), lambda: opened("target"), [(target_db, None)]):
        connection.close()
    assert threads == [get_ident()] * 2


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("away", ["legacy", "target"])
def test_where_one_database_is_away_the_connection_to_the_other_one_is_given_back(
    pool: Pool, target_db: str, away: Side, kept: bool
) -> None:
    before = {used(pool, target_db)} if kept else set()
    opened: list[int] = []

    def of(side: Side) -> PooledConnection:
        if side == away:
            raise LegacyUnavailable("away") if side == "legacy" else TargetUnavailable("away")
        connection = pool.connect(target_db, "target")
        with transaction(connection, "target"):
            opened.append(pid(connection))
        return connection

    with pytest.raises(LegacyUnavailable if away == "legacy" else TargetUnavailable):
        pool.at_once(lambda: of("legacy"), lambda: of("target"), [(target_db, None)])
    assert used(pool, target_db) in {*before, *opened}


def test_where_both_are_away_legacy_is_named(pool: Pool, target_db: str) -> None:
    def away(error: Exception) -> PooledConnection:
        raise error

    with pytest.raises(LegacyUnavailable):
        pool.at_once(lambda: away(LegacyUnavailable("away")), lambda: away(TargetUnavailable("away")), [])
