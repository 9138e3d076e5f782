"""The one way to PostgreSQL: connections without session state, and its errors under our names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hybrid_sync.blame import (
    CANCELLED,
    CONTENTION,
    SHORT,
    LegacyCursor,
    TargetCursor,
    computable,
    in_theirs,
    primary,
    raised,
    seconds_of,
    side_of,
)
from hybrid_sync.blame import Side as Side
from hybrid_sync.blame import is_row_state as is_row_state
from hybrid_sync.errors import (
    UNAVAILABLE,
    ConfigurationMissing,
    Contention,
    Locked,
    MissingPrivilege,
    SessionTimedOut,
    StatementTimeout,
    StructureMismatch,
    SyncError,
    TooManyConnections,
)
from hybrid_sync.opening import NATIVE_PATH as NATIVE_PATH
from hybrid_sync.opening import OUR_PATH as OUR_PATH
from hybrid_sync.opening import TRANSACTION_SETTINGS, SearchPath, opening
from hybrid_sync.opening import path_setting as path_setting
from hybrid_sync.opening import usual_limits as usual_limits
from hybrid_sync.servers.dsn import secured
from hybrid_sync.session import Parameters as Parameters
from hybrid_sync.session import Question as Question
from hybrid_sync.session import Session, Trip
from hybrid_sync.session import answer as answer
from hybrid_sync.session import is_open as is_open
from hybrid_sync.session import send_all as send_all
from hybrid_sync.session import send_with_next as send_with_next
from hybrid_sync.session import together as together
from hybrid_sync.timing import CLOCK, CONNECT, REFUSED

Connection = psycopg.Connection[tuple[Any, ...]]
S = TypeVar("S", bound=Session)
Cursor = psycopg.Cursor[tuple[Any, ...]]
OLDEST = 13
"""The oldest major version that the tests play on."""
# A path that has died is noticed within two minutes; the systems' own settings take two hours.
_KEPT_ALIVE = {"keepalives_idle": "60", "keepalives_interval": "15", "keepalives_count": "4"}
_CONTENTION = dict.fromkeys(CONTENTION, "sessions were in each other's way") | {
    "55P03": "another session holds a lock on what it needs", "53200": "it is short of memory",
}  # fmt: skip
_LOCKED = (Locked, "It is tried again; see pg_locks, and pg_prepared_xacts.")
_TIMED_OUT = {
    "25P03": "was left waiting in a transaction", "25P04": "kept a transaction open", "57P05": "was left idle",
}  # fmt: skip
_STRUCTURE = {"42P01", "42703", "3F000", "42883", "42804", "42704", "42601", "42P10"}


def connect(dsn: str, side: Side, ca: str | None = None) -> Connection:
    """A connection in autocommit mode that holds no server-side prepared statements; `ca` as `dsn.secured` has it.

    Raises ConfigurationMissing for a DSN that may not be used, ServerUntrusted for a server that does not prove who it
    is, else LegacyUnavailable or TargetUnavailable; the sentence names host and database, never the password.
    """
    return open_session(dsn, side, Session, ca)


def open_session(dsn: str, side: Side, kind: type[S], ca: str | None) -> S:
    """`connect`, as a connection of class `kind`."""
    parts = {"connect_timeout": "10", **_KEPT_ALIVE, **secured(dsn, side, ca)}
    # Rows pass through as bytes, so both servers must mean the same ones; legacy checks and converts its own.
    fixed = {**parts, "client_encoding": "UTF8", "application_name": "hybrid-sync"}
    cursor = LegacyCursor if side == "legacy" else TargetCursor
    began = time.monotonic()
    try:
        opened = kind.connect(make_conninfo(**fixed), autocommit=True, prepare_threshold=None, cursor_factory=cursor)
    except psycopg.Error as error:
        from hybrid_sync.servers.refused import refused  # seldom

        why = refused(side, parts, error)
        if isinstance(why, TooManyConnections):
            CLOCK.add(f"{REFUSED} {side}", time.monotonic() - began)
        raise why from None
    CLOCK.add(f"{CONNECT} {side}", time.monotonic() - began)
    if (version := opened.info.server_version // 10_000) < OLDEST:
        opened.close()
        raise ConfigurationMissing(
            f"{side} is PostgreSQL {version}, and hybrid-sync works with {OLDEST} and later.",
            "Upgrade the server first.",
        )
    return opened


def say_for_whom(connection: Connection, run_id: str) -> None:
    """The transaction shows for which run it works, to whoever looks at the server's sessions."""
    name = sql.SQL("select pg_catalog.set_config('application_name', {}, true)").format(f"hybrid-sync {run_id}"[:63])
    send_with_next(connection, name)


@contextmanager
def transaction(
    connection: Connection, side: Side, *, read_only: bool = False, path: SearchPath = None
) -> Iterator[Connection]:
    """READ COMMITTED, stated explicitly, with the side's settings; errors leave under our names.

    It begins with its first statement, and ends here unless a part of it has committed.  `path` is where legacy looks
    up what an expression of the catalog names: in no schema where others may create something, unless the catalog says
    so.
    """
    with _between(connection, side, opening(side, "read committed", path, read_only=read_only)):
        yield connection
        if is_open(connection):
            _end(connection, "commit")


@contextmanager
def snapshot(connection: Connection, side: Side, *, path: SearchPath = None) -> Iterator[Connection]:
    """REPEATABLE READ and read only: every statement sees the state at the first one.

    Of the target it ends with the next statement; legacy is let go at once.
    """
    with _between(connection, side, opening(side, "repeatable read", path, read_only=True)), computable(side):
        yield connection
        if isinstance(connection, Session) and side == "target":
            connection.end_with_next()  # what was seen is recorded at once
        elif not connection.closed and is_open(connection):
            _end(connection, "rollback")


@contextmanager
def _between(connection: Connection, side: Side, first: Sequence[bytes]) -> Iterator[None]:
    with translated(side):
        try:
            if isinstance(connection, Session):
                connection.open_with_next(first)
            else:
                connection.execute(b"; ".join(first))
            yield
        except BaseException as error:  # an interrupt too: nothing half-done may reach the connection's next use
            _give_up(connection)
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                raise _named(side, error, connection) or error from None
            raise


def _end(connection: Connection, command: LiteralString) -> None:
    if not (isinstance(connection, Session) and connection.forget_unsent()):
        connection.execute(command)


def _give_up(connection: Connection) -> None:
    """Roll back in silence: the first error is the one reported, whatever an idle connection says afterwards."""
    if not connection.closed and is_open(connection):
        try:
            _end(connection, "rollback")
        except psycopg.Error:
            connection.close()


@contextmanager
def one_trip(
    connection: Connection, side: Side, *, read_only: bool = False, writes: bool = False, path: SearchPath = None
) -> Iterator[Trip]:
    """A whole transaction in one message: what is asked and done within, and its end; one that `writes` commits."""
    with (
        transaction(connection, side, read_only=read_only, path=path),
        together(connection, commits=writes, lets_go=not writes) as trip,
    ):
        yield trip


@contextmanager
def inside(connection: Connection, side: Side, *, path: SearchPath = None, soon: bool = False) -> Iterator[Connection]:
    """The transaction that is open, or else one to read in, which ends at once or (`soon`) with the next statement."""
    if is_open(connection):
        if side == "legacy":
            send_with_next(connection, path_setting(path))
        yield connection
        return
    with transaction(connection, side, read_only=True, path=path):
        yield connection
        if soon and isinstance(connection, Session):
            connection.end_with_next()


@contextmanager
def translated(side: Side) -> Iterator[None]:
    """Server failures under our names: by SQLSTATE, never by text; a row's own errors pass through untouched."""
    try:
        yield
    except psycopg.Error as error:
        named = _named(side, error)
        if named is None:
            raise
        raise named from None


_GRANTS: dict[Side, str] = {
    "target": "Run `hybrid-sync install`, which grants what the catalog needs.",
    "legacy": "Grant SELECT to the role; where row security hides rows from it, use a role with BYPASSRLS.",
}


def _named(side: Side, error: psycopg.Error, connection: Connection | None = None) -> SyncError | None:
    state = error.sqlstate
    side = side_of(error, side)
    if state is None:
        if isinstance(error, psycopg.OperationalError):
            return UNAVAILABLE[side](
                f"The connection to {side} was lost.", "It is tried again; check the server if it persists."
            )
        return None
    if raised(error):  # its author chose the code, so it says nothing about the server
        return None
    if state == CANCELLED:
        return _cancelled(side, error)
    if state == "53300":
        from hybrid_sync.servers.refused import no_connection_left  # seldom

        return no_connection_left(side)
    if state in _CONTENTION:
        kind, again = _LOCKED if state == "55P03" else (Contention, "The same step is tried again.")
        return kind(f"{side} answered {state}: {_CONTENTION[state]}.", again)
    if state == "25006":
        from hybrid_sync.servers.read_only import takes_no_writes  # seldom

        return takes_no_writes(side, connection)
    if state in _TIMED_OUT:
        return SessionTimedOut(
            f"{side} ended our session, which {_TIMED_OUT[state]} for longer than it allows ({state}).",
            f"It is tried again; where it persists, raise that timeout of our role in {side}.",
        )
    if state[:2] in ("08", "57", "53", "58"):
        why, more = SHORT.get(state, ("not available", ""))
        return UNAVAILABLE[side](f"{side} answered {state} ({why}).", f"It is tried again{more}.")
    if in_theirs(error):  # perhaps for one row: whoever knows rows asks
        return None
    if state in ("XX001", "XX002"):
        why = f"{side} finds its own data damaged ({state}, {primary(error)})."
        return StructureMismatch(why, "Bring the table or the index back; until then it is not read.")
    if state == "42501":
        return MissingPrivilege(f"The {side} role lacks a privilege ({primary(error)}).", _GRANTS[side])
    if state in _STRUCTURE:
        return StructureMismatch(
            f"{side} does not have what the catalog names ({primary(error)}).",
            "Correct the catalog, or the table.",
        )
    return None


def under_our_name(error: psycopg.Error) -> SyncError | None:
    """What a server's error means wherever it was met with; None where only its place explains it."""
    return _named(side_of(error, "target"), error)


def _cancelled(side: Side, error: psycopg.Error) -> SyncError:
    """A time limit is reached again by the same statement; a person who cancels does so once."""
    limit = int(TRANSACTION_SETTINGS["statement_timeout"].removesuffix("s"))
    if seconds_of(error) < 0.9 * limit:
        return Contention(f"A statement was cancelled on {side} ({CANCELLED}).", "The same step is tried again.")
    return StatementTimeout(
        f"A statement on {side} ran for {seconds_of(error):.0f} s, which is as long as one may ({CANCELLED}).",
        f"Look for what slows {side} down (locks, missing indexes, other load), then start the run again.",
    )


def require_row(
    connection: Connection,
    error: psycopg.Error,
    statements: Iterable[tuple[sql.Composed, Parameters]],
    *,
    last: Callable[[], bool] = lambda: False,
) -> None:
    """Return when a row, or a trigger over it, is to blame for an error of these statements; raise when none is.

    Asked and not guessed, since a trigger chooses any code it likes: `explain` checks the names and the rights of a
    statement and fires no trigger, so a statement that passes it was refused for a row.  Contention is passed on to
    be repeated, unless this attempt is the `last`.  The connection is live, its savepoint rolled back.
    """
    if raised(error):
        return
    state = error.sqlstate
    if state is None or connection.closed or (state in CONTENTION and not last()):
        raise error
    if state not in (*CONTENTION, CANCELLED) and not is_row_state(state):
        raise error
    for statement, parameters in statements:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("explain {}").format(statement), parameters)
        except psycopg.Error as refused:
            raise _unplanned(refused) from None


def _unplanned(error: psycopg.Error) -> SyncError:
    side = side_of(error, "target")
    return _named(side, error) or StructureMismatch(
        f"{side} does not take what the catalog asks for ({primary(error)}).", "Correct the catalog, or the table."
    )
