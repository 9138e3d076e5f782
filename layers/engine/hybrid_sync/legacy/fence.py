"""The fence: a commit snapshot of legacy, saved before anything is read.

Everything committed after it is seen by the next run: a transaction that the snapshot did not see was running (its
id is at or above xmin) or had no id yet (at or above xmax).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import psycopg
from psycopg import sql
from pydantic import BaseModel, ConfigDict

from hybrid_sync.catalog.models import Entity
from hybrid_sync.errors import ConfigurationMissing, LegacyReplaced, LegacyUnavailable, MissingPrivilege
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, Cursor, Question, together, transaction
from hybrid_sync.session import Session, Trip

MAX_AGE = 1_500_000_000
"""Transactions; beyond 2^31 `age()` wraps, so an older fence is not trusted."""

# The timeline comes from the WAL file's name: pg_control_checkpoint() lags after a promotion.  A replica has only that,
# and what it has replayed is what it knows; right after a start it knows its checkpoint.
_TIMELINE = sql.SQL("""
case when pg_is_in_recovery() then (pg_control_checkpoint()).timeline_id
     else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end
""")
# A name says nothing: the databases of a server can be renamed.
_DATABASE = sql.SQL("(select oid from pg_database where datname = current_database())")
_SERVER = sql.SQL("(pg_control_system()).system_identifier::text, {}").format(_TIMELINE)
_LSN = sql.SQL("case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text")
_REPLAYED = sql.SQL("coalesce(pg_last_xact_replay_timestamp(), (pg_control_checkpoint()).checkpoint_time)")
# Where those are withheld (Aurora without logical replication, a host that revokes them), the server's start stands for
# its history: whatever could renew transaction ids, a failover or a restore, is another server process.
_WITHHELD = ("0A000", "42501", "55000")
_STARTED = "started "
_SERVER_BY_START = sql.SQL("{} || to_char(pg_postmaster_start_time() at time zone 'UTC', {}), 0").format(
    sql.Literal(_STARTED), sql.Literal("YYYY-MM-DD HH24:MI:SS.US")
)
# A crash takes with it what was not on disk yet, and ids that were given out are given out again; so does a disk that
# was set back, or an older copy that is started.  Each needs a start of the server, or, where it restarts its sessions
# alone, resets its own statistics.  A replica gives out no ids.
_LIFE = sql.SQL("""
case when not pg_is_in_recovery() then
  concat_ws(' ', pg_postmaster_start_time() at time zone 'UTC',
            (select stats_reset at time zone 'UTC' from pg_stat_archiver)) end
""")
# Settings of a server that is rescued: what is damaged it leaves out, or hands over as it is, and says nothing.
_BLIND = sql.SQL("""
(select string_agg(name, ', ' order by name)
 from unnest(array['zero_damaged_pages', 'ignore_checksum_failure']) as name where current_setting(name)::boolean)
""")
_TAKE = """
select s.snap::text, pg_snapshot_xmin(s.snap)::text, pg_snapshot_xmax(s.snap)::text,
       {server}, {lsn},
       to_char(case when pg_is_in_recovery() then least(now(), {replayed}) else now() end at time zone 'UTC',
               'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       pg_is_in_recovery(), {database}::bigint, {life}, {blind}
from (select pg_current_snapshot() as snap) s
"""
_TAKE_FULL = sql.SQL(_TAKE).format(
    server=_SERVER, lsn=_LSN, replayed=_REPLAYED, database=_DATABASE, life=_LIFE, blind=_BLIND
)
_TAKE_BY_START = sql.SQL(_TAKE).format(
    server=_SERVER_BY_START, lsn=sql.SQL("'withheld'"), replayed=sql.SQL("now()"), database=_DATABASE, life=_LIFE,
    blind=_BLIND,
)  # fmt: skip

# Writers that have begun may still commit rows stamped with their start. Other sessions' starts are shown to
# pg_read_all_stats alone, and not at all where track_activities is off. A session shows its start a moment after it,
# so a minute is taken off.
_BOUND = """
select pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
       bool_or(backend_type = 'client backend' and state = 'disabled'),
       to_char((least(now(), min(xact_start)) - interval '1 minute') at time zone 'UTC',
               'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
from pg_stat_activity
"""
# A prepared transaction has left its session, and nothing shows when it began.
_PREPARED = "select exists (select from pg_prepared_xacts)"

RESTARTED = "restarted"
"""Why a fence is not trusted whose server has begun anew since: the ids below it may be those of later changes."""

Identity = tuple[str, int, int | None]
"""Which database of which server, on which line of its history: system identifier, timeline, the database's OID."""

Doubt = Literal["grant", "untold", "prepared", "replica"]
"""Why it cannot be proved which moment is settled."""


class Fence(BaseModel):
    """One commit snapshot; 64-bit transaction ids."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    snapshot: str
    xmin: int
    xmax: int
    system_identifier: str
    timeline: int
    database: int | None = None
    """The database's OID; None in a fence of a release that did not ask for it, which is trusted no more."""
    life: str | None = None
    """Since when the server gives out ids one after the other; None of a replica, and of a release that did not ask."""
    lsn: str
    taken_at: str
    settled_until: str | None = None
    """No transaction that began earlier is still running; None where that cannot be proved."""
    doubt: Doubt | None = None
    """Why not."""

    @property
    def is_by_start(self) -> bool:
        """The server withheld what identifies it, so the moment of its start stands for it."""
        return self.system_identifier.startswith(_STARTED)

    @property
    def identity(self) -> Identity:
        """Where the transaction ids of this snapshot mean something."""
        return self.system_identifier, self.timeline, self.database

    @property
    def xid(self) -> str:
        """xmin as the 32-bit xid that `age()` takes."""
        return str(self.xmin % 2**32)


def current_fence(connection: Connection, more: Callable[[Trip], object] | None = None) -> Fence:
    """Save the present; short statements, in a transaction of their own, which ends with them.

    What asks for `more` behind them, in the same message, goes on in that transaction.
    """
    try:
        return _current(connection, _TAKE_FULL, more)
    except psycopg.Error as error:
        if error.sqlstate not in _WITHHELD:
            raise
    connection.execute("rollback")
    with transaction(connection, "legacy", read_only=True):
        return _current(connection, _TAKE_BY_START, more)


def _current(connection: Connection, statement: sql.Composed, more: Callable[[Trip], object] | None) -> Fence:
    with together(connection, lets_go=more is None) as trip:
        bound = trip.ask(Question(_BOUND, None, lambda found: found.fetchall()[0]))
        # Asked second: what is prepared between the two is in the first answer still, as a session.
        prepared = trip.ask(Question(_PREPARED, None, lambda found: bool(found.fetchall()[0][0])))
        taken = trip.ask(Question(statement, None, lambda found: found.fetchall()[0]))
        if more is not None:
            more(trip)
    settled, doubt = _bound(*bound.value, prepared=prepared.value)
    row = taken.value
    if row[10]:
        raise ConfigurationMissing(
            f"Legacy passes over damaged pages ({row[10]}): rows that it leaves out look deleted.",
            "Bring back what was damaged, then switch that setting off, on the server or of our role.",
        )
    failpoint("fence.taken", connection)
    if row[7]:
        settled, doubt = None, "replica"
    return Fence(
        snapshot=row[0], xmin=int(row[1]), xmax=int(row[2]), system_identifier=row[3], timeline=row[4], lsn=row[5],
        database=row[8], life=row[9], taken_at=row[6], settled_until=settled, doubt=doubt,
    )  # fmt: skip


def _bound(granted: bool, untold: bool | None, settled: str, *, prepared: bool) -> tuple[str | None, Doubt | None]:
    """The moment before which every writer has ended, or why that cannot be known."""
    doubt: Doubt | None = "prepared" if prepared else "untold" if untold else None
    if not granted:
        doubt = "grant"
    return (None if doubt else settled), doubt


def refuse_replica(fence: Fence, entities: Iterable[Entity]) -> None:
    """A commit snapshot is the primary's: on a replica only timestamps can be read, up to what it has replayed."""
    if fence.doubt == "replica" and fence.is_by_start:
        raise MissingPrivilege(
            "Legacy is a read replica that does not report what it has replayed (Aurora's readers do not).",
            "Point the legacy DSN at the primary, which is Aurora's writer endpoint.",
        )
    named = [entity.entity for entity in entities if entity.detect == "commit_fence"]
    if fence.doubt == "replica" and named:
        raise MissingPrivilege(
            f"Legacy is a read replica, where the commit snapshots that {', '.join(named)} need cannot be taken.",
            "Point the legacy DSN at the primary, or use `detect: timestamp` with `lag_seconds`.",
        )


def why_unusable(stored: Fence | None, now: Fence) -> str | None:
    """Why the stored fence cannot be used, so that everything is read again; None when it can."""
    if stored is None:
        return "first_time"
    if stored.system_identifier != now.system_identifier:
        return "other_system"
    if stored.timeline != now.timeline:
        return "other_timeline"
    if stored.database != now.database or now.database is None:
        return "other_database"
    if stored.xmin > now.xmax:
        return "future"
    if now.xmax - stored.xmin > MAX_AGE:
        return "too_old"
    if stored.life != now.life:
        return RESTARTED
    return None


def older(one: Fence | None, other: Fence | None) -> Fence | None:
    """The fence behind which less is settled; None, which reads everything, when the two cannot be compared."""
    if one is None or other is None:
        return None
    if (one.identity, one.life) != (other.identity, other.life) or one.database is None:
        return None
    return min(one, other, key=lambda fence: (fence.xmin, fence.taken_at))


def keep_to(connection: Connection, planned: Fence) -> None:
    """Each transaction of this connection begins, from here on, with the proof that it is where and when the run was
    planned.

    An address may lead to several servers: a pooler, a balancer or a name with two hosts connects one step of a run to
    the primary and the next one to a replica that lags, whose rows and whose missing rows are of the past.  And a
    server that has begun anew since may have lost what an earlier step has read.
    """
    assert isinstance(connection, Session), "connect makes no other"
    server = _SERVER_BY_START if planned.is_by_start else _SERVER
    # A primary knows all that it has committed; of a replica one that has replayed enough will do.
    reached = _reached(planned.lsn) if planned.doubt == "replica" else sql.SQL("not pg_is_in_recovery()")
    query = sql.SQL("select {}, {}::bigint, {}, {}").format(server, _DATABASE, reached, _LIFE)

    def meaning(found: Cursor) -> None:
        system, timeline, database, reached, life = found.fetchall()[0]
        require_same(planned, (system, timeline, database))
        if not reached:
            connection.end()  # another one may lead to the right server
            raise _behind(planned)
        require_same_life(planned, life)

    connection.begin_with(Question(query, None, meaning))


@contextmanager
def legacy_when_needed(connect: Callable[[], Connection]) -> Iterator[Callable[[Fence], Connection]]:
    """For a step that mostly does without legacy: its connection from the first question on, kept to where the run was
    planned, until the block ends."""
    with ExitStack() as opened:
        connected: list[Connection] = []

        def legacy_of(planned: Fence) -> Connection:
            if not connected:
                connected.append(opened.enter_context(connect()))
                keep_to(connected[0], planned)
            return connected[0]

        yield legacy_of


def _reached(lsn: str) -> sql.Composed:
    return sql.SQL("{}::pg_lsn >= {}::pg_lsn").format(_LSN, sql.Literal(lsn))


def _behind(planned: Fence) -> LegacyUnavailable:
    if planned.doubt == "replica":
        return LegacyUnavailable(
            "Legacy answers as a read replica that has replayed less than the run has seen.",
            "It is tried again; let the legacy DSN lead to one replica, or to the primary.",
        )
    return LegacyUnavailable(
        "Legacy answers as a read replica, and the run was planned against its primary.",
        "It is tried again; let the legacy DSN lead to the primary alone (target_session_attrs=primary where it names"
        " several hosts).",
    )


def require_same(planned: Fence, now: Identity) -> None:
    """Refuse to read on from another database than the one that was planned against."""
    if planned.identity != now:
        raise LegacyReplaced(
            "Legacy was replaced during the run (another system identifier, timeline or database).",
            "Start the run again: it will read everything once.",
        )


def require_same_life(planned: Fence, now: str | None) -> None:
    """Refuse to read on from a server that has begun anew: rows that were read may have been lost with what it had not
    written, or with a copy of its disk that was put back, and a run would call the target equal that has them."""
    if planned.life is not None and planned.life != now:
        raise LegacyReplaced(
            "Legacy has begun anew during the run (a restart, a crash, or an older copy of its disk): what was read"
            " before may be there no more.",
            "Start the run again: it will read everything once.",
        )
