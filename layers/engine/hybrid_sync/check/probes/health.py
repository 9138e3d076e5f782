"""What ails a server by and by: transaction ids that run out, transactions that never end, WAL that is held."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_sync.check.context import GIGABYTE, ProbeContext
from hybrid_sync.check.model import Finding, warning
from hybrid_sync.check.probe import probe

_XIDS = "select age(datfrozenxid) from pg_database where datname = current_database()"
# The start of others' transactions is shown to pg_read_all_stats alone, what they hold back to everybody.
_LONG = """
select count(*)::int, coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8,
       coalesce(max(age(backend_xmin)), 0)
from pg_stat_activity
where pid <> pg_backend_pid() and (clock_timestamp() - xact_start > %s or age(backend_xmin) > %s)
"""
_PREPARED = """
select count(*)::int, extract(epoch from max(clock_timestamp() - prepared))::float8 from pg_prepared_xacts
where clock_timestamp() - prepared > %s
"""
_SLOTS = """
select quote_ident(slot_name), held::bigint from (
  select slot_name, pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                                    else pg_current_wal_lsn() end, restart_lsn) as held
  from pg_replication_slots where not active and restart_lsn is not null) s
where held > %s order by 1
"""


@probe()
def transaction_ids(context: ProbeContext) -> Iterator[Finding]:
    """A database that will run out of transaction ids unless it is vacuumed."""
    for side in context.connections:
        [age] = context.row(side, _XIDS)
        if age > context.limits.xid_age:
            yield warning(
                "old_transaction_ids",
                f"{context.place(side)} has not been frozen for {age:,} transactions; at 2,000,000,000 it stops"
                " writing.",
                "Run vacuum (freeze) there, and look for what holds autovacuum back.",
            )


@probe()
def long_transactions(context: ProbeContext) -> Iterator[Finding]:
    """Transactions, and prepared ones, that have been open for so long that they hold vacuum and locks."""
    for side in context.connections:
        limits = context.limits.long_transaction, context.limits.xmin_age
        count, seconds, transactions = context.row(side, _LONG, limits)
        if count:
            yield warning(
                "long_transaction",
                f"{context.place(side)} has {count} long transactions, open for up to {seconds:,.0f} s as far as we"
                f" may see, since {transactions:,} others: they hold vacuum back, and each run reads again what was"
                " written since.",
                "Find them: select pid, usename, xact_start from pg_stat_activity order by xact_start; end what"
                " nobody needs.",
            )
        count, seconds = context.row(side, _PREPARED, (context.limits.prepared_transaction,))
        if count:
            yield warning(
                "prepared_transaction",
                f"{context.place(side)} has {count} prepared transactions, the oldest for {seconds:,.0f} s: they hold"
                " locks and vacuum for ever.",
                "Find them: select gid, owner, prepared from pg_prepared_xacts; then commit prepared or rollback"
                " prepared.",
            )


@probe()
def held_wal(context: ProbeContext) -> Iterator[Finding]:
    """Replication slots that no one reads, and that keep WAL until the disk is full."""
    for side in context.connections:
        for slot, octets in context.rows(side, _SLOTS, (context.limits.slot_bytes,)):
            yield warning(
                "held_wal",
                f"The replication slot {slot} of {context.place(side)} is read by nobody and holds"
                f" {octets / GIGABYTE:,.2f} GB of WAL.",
                f"Start its reader, or drop it: select pg_drop_replication_slot('{slot}').",
            )
