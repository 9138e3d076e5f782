"""What the servers are: version, primary or replica, writable or not, their clocks, their letters."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from hybrid_sync.check.context import ProbeContext
from hybrid_sync.check.model import Finding, error, note, warning
from hybrid_sync.check.probe import probe
from hybrid_sync.errors import MissingPrivilege, SyncError
from hybrid_sync.legacy import fence
from hybrid_sync.legacy.changes import require_bound

_LETTERS = """
select pg_encoding_to_char(encoding), datcollate, null, null from pg_database where datname = current_database()
"""
_LETTERS_FROM_15 = """
select pg_encoding_to_char(encoding), datcollate, datcollversion, pg_database_collation_actual_version(oid)
from pg_database where datname = current_database()
"""


@probe()
def versions(context: ProbeContext) -> Iterator[Finding]:
    """A server that is too old for the engine's SQL."""
    oldest = context.limits.oldest_server
    for side, connection in context.connections.items():
        found = connection.info.server_version
        if found < oldest:
            yield error(
                "server_too_old",
                f"{context.place(side)} is PostgreSQL {found // 10_000}, and {oldest // 10_000} is the oldest that will"
                " do.",
                "Upgrade the server.",
            )


@probe("legacy")
def fences(context: ProbeContext) -> Iterator[Finding]:
    """Whether legacy can show what has changed: by a commit snapshot, or by timestamps that are settled."""
    entities = context.catalog.entities.values()
    try:
        with context.reading("legacy") as legacy:
            saved = fence.current_fence(legacy)
    except psycopg.Error as refused:
        yield error(
            "no_fence",
            f"{context.place('legacy')} takes no commit snapshot ({refused.sqlstate}).",
            "On Aurora switch on logical replication (rds.logical_replication), or write `detect: timestamp`.",
        )
        return
    try:
        fence.refuse_replica(saved, entities)
    except MissingPrivilege as refused:
        yield error("legacy_is_replica", refused.message, refused.remedy)
    for entity in entities:
        if entity.detect == "timestamp":
            try:
                require_bound(saved, entity)
            except SyncError as refused:
                yield error("no_bound", refused.message, refused.remedy)


@probe("target")
def writable(context: ProbeContext) -> Iterator[Finding]:
    """Whether the target takes writes."""
    replica, read_only = context.row(
        "target", "select pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool"
    )
    if replica:
        yield error(
            "target_is_replica", f"{context.place('target')} is a read replica.", "Point the target DSN at the primary."
        )
    elif read_only:
        yield error(
            "target_read_only",
            f"{context.place('target')} takes no writes: default_transaction_read_only is on.",
            "On Supabase a full disk does this: enlarge it, or free space. Else reset the setting of the role or"
            " database.",
        )


@probe()
def clocks(context: ProbeContext) -> Iterator[Finding]:
    """How far the clocks of legacy, target and the functions differ."""
    for side in context.connections:
        with context.reading(side) as connection:
            connection.execute("select 1")  # what opens the transaction is not to be timed
            before = context.now()
            row = connection.execute("select clock_timestamp()").fetchone()
            after = context.now()
        assert row is not None, "a select without a table is one row"
        apart = row[0] - (before + (after - before) / 2)
        if abs(apart) > context.limits.clock + (after - before):
            seconds = apart.total_seconds()
            yield warning(
                "clock_differs",
                f"The clock of {context.place(side)} is {abs(seconds):,.1f} s {'ahead of' if seconds > 0 else 'behind'}"
                " that of the functions.",
                "Let that server follow a time service: freshness, and rows read by timestamp, are judged by its"
                " clock.",
            )


@probe()
def letters(context: ProbeContext) -> Iterator[Finding]:
    """Encodings that cannot hold the same texts, and collations that have changed under their indexes."""
    collates: set[str] = set()
    for side, connection in context.connections.items():
        asked = _LETTERS_FROM_15 if connection.info.server_version >= 150_000 else _LETTERS
        encoding, collate, kept, actual = context.row(side, asked)
        collates.add(collate)
        if encoding != "UTF8":
            what = "may hold bytes that are no text" if side == "legacy" else "cannot hold every text of legacy"
            yield warning(
                "encoding_differs",
                f"{context.place(side)} is encoded in {encoding}, and so {what}.",
                "Such rows become failed records; to avoid them, move the database to UTF8.",
            )
        if kept and actual and kept != actual:
            yield warning(
                "collation_changed",
                f"{context.place(side)} was made with version {kept} of its collation, and the library is {actual}:"
                " an index of texts may miss rows.",
                "Reindex it, then: alter database … refresh collation version.",
            )
    if len(collates) > 1:
        yield note("collation_differs", f"The databases sort texts differently ({', '.join(sorted(collates))}).")
