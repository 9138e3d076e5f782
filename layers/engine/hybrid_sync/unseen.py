"""Why a record of ours is not there: row security hides them all from a role that has lost BYPASSRLS meanwhile."""

from __future__ import annotations

from hybrid_sync.errors import ConfigurationMissing, SyncError
from hybrid_sync.postgres import Connection


def hidden() -> ConfigurationMissing:
    """Our schema is there, and shows our role nothing."""
    return ConfigurationMissing(
        "The target's hybrid_sync schema shows its rows to another role, not to ours: ours has lost BYPASSRLS.",
        "Run `hybrid-sync install` again with an owner's DSN, which gives that back to hybrid_sync_worker.",
    )


def unseen(target: Connection, otherwise: SyncError) -> SyncError:
    """What to raise where a record was not found: `otherwise`, unless none can be seen at all.

    Asked only where something is missing already; by REST, where nothing more can be asked in a transaction, never.
    """
    if target is None:
        return otherwise
    [(any_seen,)] = target.execute("select exists (select from hybrid_sync.migration)").fetchall()
    return otherwise if any_seen else hidden()
