"""What the servers are: version, primary or replica, writable or not, their clocks, their letters."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from hybrid_sync.check.ground import Ground
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
def versions(ground: Ground) -> Iterator[Finding]:
    """A server that is too old for the engine's SQL."""
    oldest = ground.limits.oldest_server
    for side, connection in ground.connections.items():
        found = connection.info.server_version
        if found < oldest:
            yield error(
                "server_too_old",
                f"{ground.place(side)} is PostgreSQL {found // 10_000}, and {oldest // 10_000} is the oldest that will"
                " do.",
                "Upgrade the server.",
            )


@probe("legacy")
def fences(ground: Ground) -> Iterator[Finding]:
    """Whether legacy can show what has changed: by a commit snapshot, or by timestamps that are settled."""
    entities = ground.catalog.entities.values()
    try:
        with ground.reading("legacy") as legacy:
            saved = fence.take(legacy)
    except psycopg.Error as refused:
        yield error(
            "no_fence",
            f"{ground.place('legacy')} takes no commit snapshot ({refused.sqlstate}).",
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
def writable(ground: Ground) -> Iterator[Finding]:
    """Whether the target takes writes."""
    replica, read_only = ground.row(
        "target", "select pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool"
    )
    if replica:
        yield error(
            "target_is_replica", f"{ground.place('target')} is a read replica.", "Point the target DSN at the primary."
        )
    elif read_only:
        yield error(
            "target_read_only",
            f"{ground.place('target')} takes no writes: default_transaction_read_only is on.",
            "On Supabase a full disk does this: enlarge it, or free space. Else reset the setting of the role or"
            " database.",
        )


@probe()
def clocks(ground: Ground) -> Iterator[Finding]:
    """How far the clocks of legacy, target and the functions differ."""
    for side in ground.connections:
        with ground.reading(side) as connection:
            connection.execute("select 1")  # what opens the transaction is not to be timed
            before = ground.now()
            row = connection.execute("select clock_timestamp()").fetchone()
            after = ground.now()
        assert row is not None, "a select without a table is one row"
        apart = row[0] - (before + (after - before) / 2)
        if abs(apart) > ground.limits.clock + (after - before):
            seconds = apart.total_seconds()
            yield warning(
                "clock_differs",
                f"The clock of {ground.place(side)} is {abs(seconds):,.1f} s {'ahead of' if seconds > 0 else 'behind'}"
                " that of the functions.",
                "Let that server follow a time service: freshness, and rows read by timestamp, are judged by its"
                " clock.",
            )


@probe()
def letters(ground: Ground) -> Iterator[Finding]:
    """Encodings that cannot hold the same texts, and collations that have changed under their indexes."""
    collates: set[str] = set()
    for side, connection in ground.connections.items():
        asked = _LETTERS_FROM_15 if connection.info.server_version >= 150_000 else _LETTERS
        encoding, collate, kept, actual = ground.row(side, asked)
        collates.add(collate)
        if encoding != "UTF8":
            what = "may hold bytes that are no text" if side == "legacy" else "cannot hold every text of legacy"
            yield warning(
                "encoding_differs",
                f"{ground.place(side)} is encoded in {encoding}, and so {what}.",
                "Such rows become failed records; to avoid them, move the database to UTF8.",
            )
        if kept and actual and kept != actual:
            yield warning(
                "collation_changed",
                f"{ground.place(side)} was made with version {kept} of its collation, and the library is {actual}:"
                " an index of texts may miss rows.",
                "Reindex it, then: alter database … refresh collation version.",
            )
    if len(collates) > 1:
        yield note("collation_differs", f"The databases sort texts differently ({', '.join(sorted(collates))}).")
