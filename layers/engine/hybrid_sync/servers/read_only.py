"""Why a server that lets us in takes no writes: asked of itself, since each reason is for somebody else to settle."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg

from hybrid_sync.errors import UNAVAILABLE, Side, StructureMismatch, SyncError

# On a standby nothing else counts; `source` says where a setting comes from.
_ASKED = """
select pg_catalog.pg_is_in_recovery(), s.setting, s.source, current_user::text, current_database()::text
from pg_catalog.pg_settings s where s.name = 'default_transaction_read_only'
"""
_PLACES = {"user": "of our role", "database": "of the database", "database user": "of our role in this database"}
_FULL_DISK = "on Supabase a full disk does this: enlarge it, or free space"


def takes_no_writes(side: Side, connection: psycopg.Connection[tuple[Any, ...]] | None) -> SyncError:
    """What a refused write (25006) means; the connection is in no transaction any more, and may be dead."""
    if side == "legacy":
        return StructureMismatch(
            "Legacy is only read, and something that the catalog computes there writes (25006).",
            "Look for a function that changes something: in the catalog's expressions, or in a view of legacy.",
        )
    row: tuple[Any, ...] | None = None
    if connection is not None:
        with suppress(psycopg.Error, SyncError):
            row = connection.execute(_ASKED).fetchone()
    said, remedy = _told(side, *row) if row is not None else ("takes no writes at present", f"{_FULL_DISK}.")
    return UNAVAILABLE[side](f"{side} {said} (25006, read-only).", f"It is tried again; {remedy}")


def _told(side: Side, standby: bool, setting: str, source: str, role: str, database: str) -> tuple[str, str]:
    if standby:
        return "is a standby, which takes no writes", f"let the DSN of {side} lead to the primary."
    if setting != "on":
        return "took no writes a moment ago, and takes them now", f"where it comes back, {_FULL_DISK}."
    if source not in _PLACES:
        why = "by the server's configuration: default_transaction_read_only is on"
        return f"takes no writes {why}", f"{_FULL_DISK}; elsewhere, whoever runs the server has set it."
    whose = {
        "user": f'alter role "{role}"', "database": f'alter database "{database}"',
        "database user": f'alter role "{role}" in database "{database}"',
    }[source]  # fmt: skip
    return (
        f"takes no writes: default_transaction_read_only is on in the settings {_PLACES[source]}",
        f"where that is not meant, {whose} reset default_transaction_read_only; {_FULL_DISK}.",
    )
