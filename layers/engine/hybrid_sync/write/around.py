"""What else a transaction of ours writes: a trigger of the target may write any row, those of the same page as well.

The server counts the writes of each table.  Where there are more than ours, the transaction is recorded as one that
tells nothing of its own rows by having written them; and with it the ids of its subtransactions, an exception block's
for one, which nobody can tell from others' once it has ended.

The server counts too what a savepoint has taken back, so that is counted as well: a row that the target refuses is no
write of anybody's.
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
_BEGIN = sql.SQL("""
{tree} select set_config('hybrid_sync.counted', jsonb_object_agg(name, n)::text, true),
  set_config('hybrid_sync.own', (select array_agg(oid)::text from tree where name = {own}), true),
  set_config('hybrid_sync.taken_back', '0', true)
from counted
""")
# Where the server does not count, every table may have been written.
_MORE = sql.SQL("""
{} select name from counted where not current_setting('track_counts')::boolean
  or n - (current_setting('hybrid_sync.counted')::jsonb ->> name)::bigint > case when name = {} then
    {} + current_setting('hybrid_sync.taken_back')::bigint else 0 end
""")
# Of our own table, as _COUNTED; none where nobody looks around.
_OWN = sql.SQL("""
(select coalesce(sum(pg_catalog.pg_stat_get_xact_tuples_inserted(oid)
  + pg_catalog.pg_stat_get_xact_tuples_updated(oid)), 0)::bigint
 from pg_catalog.unnest(nullif(pg_catalog.current_setting('hybrid_sync.own', true), '')::oid[]) oid)
""")
# What is set within a savepoint is taken back with it: `kept` is of attempts that stay alone.
_ATTEMPTING = sql.SQL(
    "select set_config('hybrid_sync.before', {}::text, true), set_config('hybrid_sync.kept', '0', true)"
).format(_OWN)
_ATTEMPTED = sql.SQL(
    "select set_config('hybrid_sync.taken_back', (coalesce(nullif(current_setting('hybrid_sync.taken_back', true), ''),"
    " '0')::bigint + {} - current_setting('hybrid_sync.before')::bigint"
    " - current_setting('hybrid_sync.kept')::bigint)::text, true)"
).format(_OWN)
_KEPT = sql.SQL("""
declare already bigint := {own};
begin
  {attempt}
  perform pg_catalog.set_config('hybrid_sync.kept',
    (pg_catalog.current_setting('hybrid_sync.kept')::bigint + {own} - already)::text, true);
end;
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


class Around:
    """Counts what the open transaction writes from here on; for a table of ours that has triggers, `own`."""

    def __init__(self, connection: Connection, catalog: Catalog, own: str) -> None:
        self._connection = connection
        self._own = table(own).as_string(None)
        places = [table(one.target) for one in catalog.entities.values()]
        self._tables = {place.as_string(None): place for place in places}
        self._counted = _COUNTED.format(sorted(self._tables))
        send_with_next(connection, _BEGIN.format(tree=self._counted, own=self._own))

    def record(self, run_id: str, batch: uuid.UUID, written: int) -> None:
        """Record that others' rows may have been written, or ours again, unless we have `written` as much as the
        server has counted; within the transaction, behind its writes."""
        more = self._connection.execute(
            _MORE.format(self._counted, sql.Literal(self._own), sql.Literal(written))
        ).fetchall()
        if more:
            ours = sql.SQL(" union all ").join(_OURS.format(self._tables[name]) for (name,) in more)
            self._connection.execute(_RECORD.format(sql.Literal(batch), sql.Literal(run_id), ours))


def attempting(connection: Connection) -> None:
    """From here to `attempted` savepoints are rolled back, what is written in them with them."""
    send_with_next(connection, _ATTEMPTING)


def attempted(connection: Connection) -> None:
    """Count what was taken back since `attempting`: all writes of our own table, but what attempts have `kept`."""
    send_with_next(connection, _ATTEMPTED)


def kept(attempt: sql.Composable) -> sql.Composed:
    """The attempt, PL/pgSQL, which also counts what it has written, where it is not taken back."""
    return _KEPT.format(own=_OWN, attempt=attempt)
