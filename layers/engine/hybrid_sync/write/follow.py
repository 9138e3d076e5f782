"""The journal names the version that a row really has: a trigger may have written it again after our statement.

Such a write inside an exception block carries a subtransaction's id, and an undo would take the row for a person's.
"""

from __future__ import annotations

import uuid

from psycopg import sql

from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.postgres import Connection


def follow_triggers(connection: Connection, table: TargetTable, batch: uuid.UUID) -> None:
    """Bring the entries that a statement has journalled itself in step with its rows; in the same transaction."""
    if "update" not in table.fires:
        return
    connection.execute(
        sql.SQL(
            "update hybrid_sync.journal j set xid = t.xmin from {} t where j.batch_id = {} and t.id = j.id"
            " and t.xmin::text <> j.xid::text and not exists (select from hybrid_sync.journal n"
            "  where n.batch_id = j.batch_id and n.id = j.id and n.seq > j.seq)"
        ).format(sql.Identifier(table.schema, table.name), sql.Literal(batch))
    )
