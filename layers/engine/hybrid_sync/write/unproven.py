"""Rows of a first load that break a foreign key which is there again: they leave the table and become failed records.

As usual such a row is never written.  What is taken back here nobody else has touched: a row is the load's own only in
the version that the load has written, and only where nothing refers to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.contracts import Key
from hybrid_sync.keys import belongs_to, bucket_numbers, key_columns, key_list
from hybrid_sync.postgres import Connection
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.write.batches import Outcome, lock_buckets, record_outcome
from hybrid_sync.write.native import AS_NATIVES, write

# The version that an insert of ours has left, to which nothing refers by a foreign key.
_OURS = sql.SQL(
    "t.id = any({ids}::uuid[]) and t.xmin::text in (select j.xid::text from hybrid_sync.journal j"
    "  where j.entity = {entity} and j.operation = 'insert')"
    " and t.id not in (select r.id from hybrid_sync.referred({relation}::regclass, {ids}::uuid[]) r)"
)


def take_back(
    connection: Connection, catalog: Catalog, run_id: str, entity: str, constraint: str, ids: Sequence[uuid.UUID]
) -> int:
    """Delete the load's own among these rows, and record each as failed, in the caller's transaction; how many.

    The journal still says that they were inserted, which an undo finds done: it takes back what is there.
    """
    relation = table(catalog[entity].target)
    taken = 0
    for name, source in sorted(catalog[entity].sources.items()):
        ours = sql.SQL("{} and {}").format(
            _OURS.format(ids=list(ids), entity=entity, relation=relation.as_string(connection)),
            belongs_to(source, "t"),
        )
        columns = key_list(key_columns(source.key, "t"))
        keys: list[Key] = [
            tuple(key)
            for _, *key in connection.execute(
                sql.SQL("select t.id, {} from {} t where {}").format(columns, relation, ours)
            )
        ]
        if not keys:
            continue
        lock_buckets(connection, entity, name, bucket_numbers(keys))
        gone = write(
            connection,
            sql.SQL("delete from {} t using {} where {} returning {}").format(relation, AS_NATIVES, ours, columns),
        ).fetchall()
        failed = [
            FailedRow(tuple(key), "foreign_key_violation", sqlstate="23503", constraint=constraint, present=False)
            for key in gone
        ]
        # Their links are forgotten with them.
        outcome = Outcome(failed, read=[row.key for row in failed])
        record_outcome(connection, run_id, entity, name, outcome)
        taken += len(failed)
    if taken:  # the cache has learnt their ids
        connection.execute(
            "update hybrid_sync.entity_state set cache_epoch = cache_epoch + 1 where entity = %s", (entity,)
        )
    return taken
