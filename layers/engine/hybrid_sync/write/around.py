"""What else a transaction of ours writes: a trigger of the target may write any row, those of the same page as well.

The server counts the writes of each table.  Where there are more than ours, the transaction is recorded as one that
tells nothing of its own rows by having written them; and with it the ids of its subtransactions, an exception block's
for one, which nobody can tell from others' once it has ended: by what is in progress, if nobody else has a transaction
open, else by going through the tables (`hybrid_sync.record_beside`).

The server counts too what a savepoint has taken back, so that is counted as well: a row that the target refuses is no
write of anybody's.
"""

from __future__ import annotations

import uuid

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.postgres import Connection, send_with_next

# Without columns: over REST an answer is compared when it is said again, and what was taken back is not said.
_COUNT = sql.SQL("select from (select hybrid_sync.count_writes({}::text[], {}) offset 0) counted")
_RECORD = sql.SQL("select from (select hybrid_sync.record_beside({}, {}, {}, {}) offset 0) recorded")
# Of our own table; none where nobody looks around.
_OWN = sql.SQL("""
(select coalesce(sum(pg_catalog.pg_stat_get_xact_tuples_inserted(oid)
  + pg_catalog.pg_stat_get_xact_tuples_updated(oid)), 0)::bigint
 from pg_catalog.unnest(nullif(pg_catalog.current_setting('hybrid_sync.own', true), '')::oid[]) oid)
""")
# What is set within a savepoint is taken back with it: `kept` is of attempts that stay alone.
_ATTEMPTING = sql.SQL(
    "select from (select set_config('hybrid_sync.before', {}::text, true), set_config('hybrid_sync.kept', '0', true)"
    " offset 0) attempting"
).format(_OWN)
_ATTEMPTED = sql.SQL(
    "select from (select set_config('hybrid_sync.taken_back',"
    " (coalesce(nullif(current_setting('hybrid_sync.taken_back', true), ''), '0')::bigint"
    " + {} - current_setting('hybrid_sync.before')::bigint"
    " - current_setting('hybrid_sync.kept')::bigint)::text, true) offset 0) attempted"
).format(_OWN)
_KEPT = sql.SQL("""
declare already bigint := {own};
begin
  {attempt}
  perform pg_catalog.set_config('hybrid_sync.kept',
    (pg_catalog.current_setting('hybrid_sync.kept')::bigint + {own} - already)::text, true);
end;
""")


class Around:
    """Counts what the open transaction writes from here on; for a table of ours that has triggers, `own`, or for
    whatever is written, ours as well."""

    def __init__(self, connection: Connection, catalog: Catalog, own: str | None) -> None:
        self._connection = connection
        self._own = "" if own is None else table(own).as_string(None)
        tables = sorted({table(one.target).as_string(None) for one in catalog.entities.values()})
        send_with_next(connection, _COUNT.format(tables, self._own))

    def record(self, run_id: str, batch: uuid.UUID, written: int = 0) -> None:
        """Record that others' rows may have been written, or ours again, unless we have `written` as much as the
        server has counted; within the transaction, behind its writes."""
        send_with_next(self._connection, _RECORD.format(batch, run_id, self._own, written))


def attempting(connection: Connection) -> None:
    """From here to `attempted` savepoints are rolled back, what is written in them with them."""
    send_with_next(connection, _ATTEMPTING)


def attempted(connection: Connection) -> None:
    """Count what was taken back since `attempting`: all writes of our own table, but what attempts have `kept`."""
    send_with_next(connection, _ATTEMPTED)


def kept(attempt: sql.Composable) -> sql.Composed:
    """The attempt, PL/pgSQL, which also counts what it has written, where it is not taken back."""
    return _KEPT.format(own=_OWN, attempt=attempt)
