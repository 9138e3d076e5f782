"""What else a transaction of ours writes: a trigger of the target may write any row, those of the same page as well.

The server counts the writes of each table.  Where there are more than ours, the transaction is recorded as one that
tells nothing of its own rows by having written them; and with it the ids of its subtransactions, an exception block's
for one, which nobody can tell from others' once it has ended.
"""

from __future__ import annotations

import uuid

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.postgres import Connection, send_with_next

# Of a table with its partitions, and what inherits from it.
_COUNTED = sql.SQL("""
with recursive tree (name, oid) as (
  select name, pg_catalog.to_regclass(name)::oid from unnest({}::text[]) as name
  union select t.name, i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid
), counted (name, n) as (
  select name, sum(pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)) from tree group by name
)
""")
_BEGIN = sql.SQL("{} select set_config({}, jsonb_object_agg(name, n)::text, true) from counted")
# Where the server does not count, every table may have been written.
_MORE = sql.SQL("""
{} select name from counted where not current_setting('track_counts')::boolean
  or n - (current_setting({})::jsonb ->> name)::bigint > case when name = {} then {} else 0 end
""")
# Whatever we see of transactions that are in progress is ours.
_OURS = sql.SQL("""
select x.xmin from {} x, (select pg_current_xact_id() as id) own where age(x.xmin) <= age(own.id::xid)
and case when age(x.xmin) <= age(own.id::xid) then pg_xact_status((
  (own.id::text::bigint >> 32 << 32) + x.xmin::text::bigint
  + case when x.xmin::text::bigint < own.id::text::bigint & 4294967295 then 4294967296 else 0 end)::text::xid8) end
  = 'in progress'
""")
_RECORD = sql.SQL(
    "insert into hybrid_sync.written_beside (batch_id, run_id, xids)"
    " select {}, {}, coalesce(array_agg(distinct xmin::text), '{{}}')::xid[] from ({}) ours on conflict do nothing"
)
_SETTING = sql.Literal("hybrid_sync.counted")


class Around:
    """Counts what the open transaction writes from here on; for a table of ours that has triggers, `own`."""

    def __init__(self, connection: Connection, catalog: Catalog, own: str) -> None:
        self._connection = connection
        self._own = table(own).as_string(None)
        places = [table(one.target) for one in catalog.entities.values()]
        self._tables = {place.as_string(None): place for place in places}
        self._counted = _COUNTED.format(sorted(self._tables))
        send_with_next(connection, _BEGIN.format(self._counted, _SETTING))

    def record(self, run_id: str, batch: uuid.UUID, written: int) -> None:
        """Record that others' rows may have been written, or ours again, unless we have `written` as much as the
        server has counted; within the transaction, behind its writes."""
        more = self._connection.execute(
            _MORE.format(self._counted, _SETTING, sql.Literal(self._own), sql.Literal(written))
        ).fetchall()
        if more:
            ours = sql.SQL(" union all ").join(_OURS.format(self._tables[name]) for (name,) in more)
            self._connection.execute(_RECORD.format(sql.Literal(batch), sql.Literal(run_id), ours))
