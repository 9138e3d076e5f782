"""Ids of rows that were deleted: a legacy key that returns gets its old UUID back."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync.contracts import Key
from hybrid_sync.keys import record_among
from hybrid_sync.postgres import Connection


def retired_ids(connection: Connection, entity: str, source: str, keys: list[Key]) -> dict[Key, bytes]:
    """The UUIDs that these keys had before; most have none."""
    if not keys:
        return {}
    rows = connection.execute(
        sql.SQL("select key, id from hybrid_sync.retired_id where entity = {} and source = {} and {}").format(
            sql.Literal(entity), sql.Literal(source), record_among(keys)
        )
    ).fetchall()
    return {tuple(key): uuid.bytes for key, uuid in rows}
