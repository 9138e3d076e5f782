"""Connections that a worker keeps between invocations: few, for a short time, clean, and replaced when they are dead.

psycopg's own pool checks and replaces in threads, which do not run while a Lambda is frozen; here everything happens
when a connection is asked for or given back.  The server ends what a frozen worker keeps (`idle_session_timeout`).
What may not be kept while a worker is frozen is kept until the end of its call.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from hybrid_sync.blame import Side
from hybrid_sync.errors import SyncError
from hybrid_sync.opening import longest_silence
from hybrid_sync.postgres import Connection, open_session
from hybrid_sync.servers import supabase
from hybrid_sync.session import Row, Session

T = TypeVar("T")
Address = tuple[str, str | None]
"""A DSN, and the certificate authority by which its server proves itself."""
MOST = 2
"""Kept per database: as many as a step uses at once."""
IDLE_SECONDS = 120
"""How long one is kept unused."""
LIFE_SECONDS = 900
"""How long one is used: settings of the role and of the database that change reach a worker after that."""


class Pool:
    """Hands out connections; the end of their `with` gives them back.  Where it `keeps` none they end with the call
    that has begun, or at once where none has.

    Each of some twenty functions would keep one or two, frozen: more than a small budget of connections has.
    `guarding` is around each attempt at a new one.  `renewed` is asked, by side, for DSN and authority as they are now
    where a server refuses those that a worker knows for good: nobody is told of a password that was changed in both
    places while the worker was not looking.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        keeps: bool = True,
        guarding: Callable[[Side], AbstractContextManager[None]] = lambda _: nullcontext(),
        renewed: Callable[[Side], Address | None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._keeps = keeps
        self._guarding = guarding
        self._renewed = renewed
        self._lock = threading.Lock()
        self._idle: list[PooledConnection] = []
        self._in_a_call = False

    def begin_call(self) -> None:
        """From here on, and until `end_call`, the worker is not frozen."""
        self._in_a_call = True

    def end_call(self) -> None:
        """End what may not be kept while the worker is frozen."""
        self._in_a_call = False
        self._end_those(lambda kept: not kept.lasts)

    def connect(self, dsn: str, side: Side, ca: str | None = None) -> PooledConnection:
        """A kept connection, or a new one; raises what `postgres.connect` raises."""
        now = self._clock()
        self._end_those(lambda kept: now - kept.used_at > IDLE_SECONDS or now - kept.opened_at > LIFE_SECONDS)
        with self._lock:
            for kept in [one for one in self._idle if (one.dsn, one.side, one.ca) == (dsn, side, ca)]:
                self._idle.remove(kept)
                if kept.is_quiet():
                    return kept
                kept.end()
        fresh = self.open(dsn, side, ca)
        fresh.pool, fresh.side, fresh.lasts = self, side, self._keeps and is_kept(fresh.dsn)
        fresh.opened_at = self._clock()
        return fresh

    def at_once(
        self, legacy: Callable[[], Connection], target: Callable[[], Connection], addresses: Collection[Address]
    ) -> tuple[Connection, Connection]:  # fmt: skip
        """What both of these open; where none to these `addresses` is kept, at the same time: a session takes six round
        trips.

        Where both are refused, legacy's error is raised; where one is, the other one is given back.
        """
        with self._lock:
            alone = any((kept.dsn, kept.ca) in addresses for kept in self._idle)
        if alone:
            first = legacy()
            return first, _or_close(target, first)
        from concurrent.futures import ThreadPoolExecutor  # whoever keeps connections needs no thread

        with ThreadPoolExecutor(max_workers=1) as beside:
            asked = beside.submit(target)
            try:
                first = legacy()
            except BaseException:  # an interrupt too: nobody else closes what the thread has opened
                with suppress(Exception):  # why the target refused as well is not asked: legacy's error is raised
                    asked.result().close()
                raise
            return first, _or_close(asked.result, first)

    def open(self, dsn: str, side: Side, ca: str | None) -> PooledConnection:
        """A new one that is in no pool, by this address or by what has become of it."""
        with self._guarding(side):
            try:
                fresh = open_session(dsn, side, PooledConnection, ca)
            except SyncError as error:
                now = self._renewed(side) if error.needs_person else None
                if now is None or now == (dsn, ca):
                    raise
                dsn, ca = now
                fresh = open_session(dsn, side, PooledConnection, ca)
            fresh.dsn, fresh.ca = dsn, ca
            return fresh

    def forget(self, side: Side) -> None:
        """Close what is kept of one side: whoever asks next finds out whether the server lets us in."""
        self._end_those(lambda kept: kept.side == side)

    def take_back(self, connection: PooledConnection) -> bool:
        """Keep it for the next one, unless there are enough; False: the caller closes it."""
        if not (connection.lasts or self._in_a_call):
            return False
        connection.used_at = self._clock()
        with self._lock:
            enough = sum(kept.dsn == connection.dsn for kept in self._idle) >= MOST
            if not enough:
                self._idle.append(connection)
        return not enough

    def close(self) -> None:
        """Close what is kept."""
        self._end_those(lambda kept: True)

    def _end_those(self, of: Callable[[PooledConnection], bool]) -> None:
        with self._lock:
            chosen = [kept for kept in self._idle if of(kept)]
            self._idle = [kept for kept in self._idle if kept not in chosen]
        for connection in chosen:
            connection.end()


def _or_close(second: Callable[[], Connection], first: Connection) -> Connection:
    """The second connection; without it nobody needs the first."""
    try:
        return second()
    except BaseException:  # an interrupt too: nobody else closes the first
        first.close()
        raise


def is_kept(dsn: str) -> bool:
    """Whether its connections may be kept: one through a pooler in session mode would hold one of its few slots."""
    parts = conninfo_to_dict(dsn)
    shared = supabase.is_pooler(str(parts.get("host") or ""))
    return not shared or str(parts.get("port") or supabase.SESSION_PORT) == supabase.TRANSACTION_PORT


class PooledConnection(Session):
    """A connection that goes back to its pool, unless it is broken or in a transaction."""

    pool: Pool | None = None
    dsn = ""
    side: Side = "target"
    ca: str | None = None
    lasts = False
    """Between calls, too."""
    opened_at = used_at = 0.0
    _unproven = False

    def is_quiet(self) -> bool:
        """Nothing has come from the server, which says unasked only that the session has ended; from here on the first
        statement finds out."""
        self._unproven = True
        return not select.select([self.fileno()], [], [], 0)[0]

    def close(self) -> None:
        """Give it back, or end it."""
        clean = not self.closed and self.info.transaction_status == TransactionStatus.IDLE
        self.forget_unsent()
        self.begin_with(None)
        if not (clean and self.pool and self.pool.take_back(self)):
            self.end()

    def __del__(self, *_: Any) -> None:
        if hasattr(self, "pgconn"):  # one that a pool still holds is no mistake of its user
            self.pgconn.finish()

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg does, but not for ever: what has died between us and the server does not say so."""
        began, longest = time.monotonic(), longest_silence()
        try:
            return super().wait(gen, interval, timeout or longest)
        except psycopg.OperationalError as error:
            # psycopg has no public name for a wait that is over: nobody has answered, and the connection seems well.
            silent = error.sqlstate is None and not self.closed and time.monotonic() - began >= longest
            if timeout is not None or not silent:
                raise
            self.end()
            raise psycopg.OperationalError("nothing was heard for as long as several statements may take") from None

    def _send(self, message: bytes, *, opens: bool, **options: Any) -> psycopg.Cursor[Row]:
        unproven, self._unproven = self._unproven, False
        try:
            return super()._send(message, opens=opens, **options)
        except psycopg.OperationalError:
            # What the lost session has begun ended with it, so it can be sent once more; a commit may have arrived.
            if not (unproven and opens and self.closed) or message.endswith(b"; commit"):
                raise
        self._replace()
        return super()._send(message, opens=opens, **options)

    def _replace(self) -> None:
        """Go on with a new session."""
        assert self.pool is not None, "only one that was kept is replaced"
        fresh = self.pool.open(self.dsn, self.side, self.ca)
        self.pgconn, fresh.pgconn = fresh.pgconn, self.pgconn
        self.dsn, self.ca = fresh.dsn, fresh.ca
        fresh.end()
