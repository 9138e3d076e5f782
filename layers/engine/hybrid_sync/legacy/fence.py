"""The fence: a commit snapshot of legacy, saved before anything is read.

Everything committed after it is seen by the next run: a transaction that the snapshot did not see was running (its
id is at or above xmin) or had no id yet (at or above xmax).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from hybrid_sync.errors import LegacyReplaced, MissingPrivilege
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection

MAX_AGE = 1_500_000_000
"""Transactions; beyond 2^31 `age()` wraps, so an older fence is not trusted."""

# The timeline comes from the WAL file's name: pg_control_checkpoint() lags after a promotion.
_TAKE = """
select s.snap::text, pg_snapshot_xmin(s.snap)::text, pg_snapshot_xmax(s.snap)::text,
       (pg_control_system()).system_identifier::text,
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int,
       pg_current_wal_insert_lsn()::text, to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
from (select pg_current_snapshot() as snap) s
"""
_IDENTITY = """
select (pg_control_system()).system_identifier::text,
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
"""
_RECOVERY = "select pg_is_in_recovery()"

# Writers that have begun may still commit rows stamped with their start. Other sessions' times are only told to
# pg_read_all_stats, and a prepared transaction has no session, so in both cases the bound cannot be proved.
_BOUND = """
select case when pg_has_role(current_user, 'pg_read_all_stats', 'usage')
             and not exists (select from pg_prepared_xacts)
       then to_char((select least(now(), min(xact_start)) from pg_stat_activity) at time zone 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end
"""


class Fence(BaseModel):
    """One commit snapshot; 64-bit transaction ids."""

    model_config = ConfigDict(frozen=True)

    snapshot: str
    xmin: int
    xmax: int
    system_identifier: str
    timeline: int
    lsn: str
    taken_at: str
    settled_until: str | None = None
    """No transaction that began earlier is still running; None where that cannot be proved."""

    @property
    def xid(self) -> str:
        """xmin as the 32-bit xid that `age()` takes."""
        return str(self.xmin % 2**32)


def take(connection: Connection) -> Fence:
    """Save the present; one short statement, in a transaction of its own."""
    recovering = connection.execute(_RECOVERY).fetchone()
    if recovering and recovering[0]:
        raise MissingPrivilege(
            "Legacy is a read replica, where commit snapshots of the primary cannot be taken.",
            "Point the legacy DSN at the primary, or use `detect: timestamp` with `lag_seconds`.",
        )
    bound = connection.execute(_BOUND).fetchone()
    row = connection.execute(_TAKE).fetchone()
    assert row is not None
    failpoint("fence.taken", connection)
    return Fence(
        snapshot=row[0], xmin=int(row[1]), xmax=int(row[2]), system_identifier=row[3], timeline=row[4], lsn=row[5],
        taken_at=row[6],
        settled_until=bound[0] if bound else None,
    )  # fmt: skip


def distrust(stored: Fence | None, now: Fence) -> str | None:
    """Why the stored fence cannot be used, so that everything is read again; None when it can."""
    if stored is None:
        return "first_time"
    if stored.system_identifier != now.system_identifier:
        return "other_system"
    if stored.timeline != now.timeline:
        return "other_timeline"
    if stored.xmin > now.xmax:
        return "future"
    if now.xmax - stored.xmin > MAX_AGE:
        return "too_old"
    return None


def older(one: Fence | None, other: Fence | None) -> Fence | None:
    """The fence behind which less is settled; None, which reads everything, when the two cannot be compared."""
    if one is None or other is None:
        return None
    if (one.system_identifier, one.timeline) != (other.system_identifier, other.timeline):
        return None
    return min(one, other, key=lambda fence: (fence.xmin, fence.taken_at))


def identity(connection: Connection) -> tuple[str, int]:
    """Which server, and which line of its history, this is: system identifier and timeline."""
    row = connection.execute(_IDENTITY).fetchone()
    assert row is not None
    return row[0], row[1]


def require_same(planned: Fence, now: tuple[str, int]) -> None:
    """Refuse to read on from another server than the one that was planned against."""
    if (planned.system_identifier, planned.timeline) != now:
        raise LegacyReplaced(
            "Legacy was replaced during the run (another system identifier or timeline).",
            "Start the run again: it will read everything once.",
        )
