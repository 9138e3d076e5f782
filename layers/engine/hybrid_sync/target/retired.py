"""Ids of rows that were deleted: a legacy key that returns gets its old UUID back."""

from __future__ import annotations

import json

from hybrid_sync.contracts import Key
from hybrid_sync.postgres import Connection


def retired_ids(connection: Connection, entity: str, source: str, keys: list[Key]) -> dict[Key, bytes]:
    """The UUIDs that these keys had before; most have none."""
    if not keys:
        return {}
    rows = connection.execute(
        "select key, id from hybrid_sync.retired_id where entity = %s and source = %s and key in"
        " (select array(select jsonb_array_elements_text(k)::int8) from jsonb_array_elements(%s::jsonb) k)",
        (entity, source, json.dumps([list(key) for key in keys])),
    ).fetchall()
    return {tuple(key): uuid.bytes for key, uuid in rows}
