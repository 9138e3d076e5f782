"""The journal: what our transactions have done to rows of the target, so that a run can be undone.

An entry names the version that a row has after the write (`xid`, its xmin) and the one that the write replaced
(`prior`).  Inserted rows share one for each transaction id that they carry: under a savepoint the subtransaction's,
which only the rows themselves carry.  Rows that one statement changes share entries as well, with the before-image of
each; a row that is deleted, linked, or whose image is long has an entry of its own.  Read changed rows from `CHANGES`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection, Question

CHANGE = ("keys", "id", "xid", "prior", "before")
CHANGES = sql.SQL("""(
  select j.recorded_at, j.run_id, j.batch_id, j.entity, j.source, j.operation, j.xid, j.restores, j.seq,
         coalesce(c.place, 1) as place, coalesce(c.id, j.id) as id, coalesce(c.prior, j.prior) as prior,
         case when c.id is null then j.keys
              else j.keys[(c.place - 1) * cardinality(j.keys) / cardinality(j.ids) + 1
                          : c.place * cardinality(j.keys) / cardinality(j.ids)] end as keys,
         coalesce(j.before, pg_catalog.jsonb_object(j.columns, c.image::text[])) as before
  from hybrid_sync.journal j
  left join lateral unnest(j.ids, j.priors, j.images) with ordinality as c (id, prior, image, place) on true
)""")
"""The journal with a line for each changed row, which `seq` and `place` name; entries of inserts as they are."""
_SHORT = 8192
"""Bytes of an image that stands with others: no entry then nears the 1 GB that a value holds, and one row's image that
is larger than the 256 MB of a jsonb string is refused here and not by the undo."""
_TOGETHER = 250
"""Rows of an entry: few enough to be read whole for the sake of one."""


@dataclass(frozen=True)
class Batch:
    """Whose rows these are: the name under which the journal keeps them."""

    run_id: str
    batch_id: uuid.UUID
    entity: str
    source: str


@dataclass(frozen=True)
class Entries:
    """What was journalled: how many rows, and the transaction ids that wrote them."""

    rows: int
    xids: list[int]


def entries(
    batch: Batch, operation: str, rows: sql.Composable, columns: Sequence[str] = CHANGE
) -> sql.Composed:  # fmt: skip
    """The INSERT of one entry for each of `rows`, a query that yields these columns in this order."""
    return sql.SQL(
        "insert into hybrid_sync.journal (run_id, batch_id, entity, source, operation, {})"
        " select {}, {}, {}, {}, {}, e.* from ({}) e"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), batch.run_id, batch.batch_id, batch.entity, batch.source,
        operation, rows,
    )  # fmt: skip


def entries_together(batch: Batch, rows: sql.Composable, columns: Sequence[str]) -> sql.Composed:
    """The INSERT of the entries that changed rows share: `rows` yields key, id, xid, prior, the values that its columns
    had as `hybrid_sync.journal.images` has them, and whether it refers elsewhere now.

    An entry of its own, with a line and three index entries, costs as much as half the update of the row.
    """
    return sql.SQL(
        "insert into hybrid_sync.journal (run_id, batch_id, entity, source, operation, keys, xid, refers_anew,"
        " ids, priors, columns, images, id, prior, before)"
        " select {run}, {batch}, {entity}, {source}, 'update',"
        " (select array_agg(p.part order by p.n) from unnest(g.keys) with ordinality as p (part, n)), g.xid,"
        " g.refers_anew,"
        " case when g.short then g.ids end, case when g.short then g.priors end, case when g.short then {columns} end,"
        " case when g.short then g.images end, case when not g.short then g.ids[1] end,"
        " case when not g.short then g.priors[1] end,"
        " case when not g.short then pg_catalog.jsonb_object({columns}, g.images[1]::text[]) end"
        " from (select array_agg(r.key) as keys, array_agg(r.id) as ids, r.xid, array_agg(r.prior) as priors,"
        " array_agg(r.image) as images, r.refers_anew, r.short"
        " from (select e.*, octet_length(e.image) < {most} as short, row_number() over () as n"
        " from ({rows}) as e (key, id, xid, prior, image, refers_anew)) r"
        " group by r.xid, r.refers_anew, r.short, case when r.short then r.n / {together} else r.n end) g"
    ).format(
        run=batch.run_id, batch=batch.batch_id, entity=batch.entity, source=batch.source, rows=rows,
        columns=sql.SQL("{}::text[]").format(list(columns)), most=_SHORT, together=_TOGETHER,
    )  # fmt: skip


def journal_changes(batch: Batch, rows: sql.Composable, operation: str = "update") -> Question[Entries]:
    """One entry for each of `rows`: key, id, xid, prior and before-image."""
    return _journal(entries(batch, operation, rows), sql.SQL("1"))


def journal_inserts(batch: Batch, rows: sql.Composable, width: int) -> Question[Entries]:
    """One entry for each transaction id of `rows`: key of `width` parts, xid, and n, by which the keys are ordered."""
    sets = sql.SQL(
        "select array_agg(p.part order by r.n, p.place), r.xid::text::xid from ({}) r (key, xid, n)"
        " cross join lateral unnest(r.key) with ordinality as p (part, place) group by r.xid::text"
    ).format(rows)
    count = sql.SQL("cardinality(keys) / {}").format(width)
    return _journal(entries(batch, "insert", sets, ("keys", "xid")), count)


def journal_copied(batch: Batch, rows: sql.Composable, width: int) -> Question[Entries]:
    """`journal_inserts` of one row (all parts of all keys, xid)."""
    return _journal(entries(batch, "insert", rows, ("keys", "xid")), sql.SQL("cardinality(keys) / {}").format(width))


def journal_stretch(batch: Batch, rows: sql.Composable, digest: str) -> Question[Entries]:
    """`journal_inserts` of `rows` (id, key of one part, xid as text), if their ids, in key order, have this digest."""
    sets = sql.SQL(
        "select array_agg(r.key order by r.key), r.xid::xid from r"
        " where (select md5(string_agg(uuid_send(id), '' order by key)) from r) = {} group by r.xid"
    ).format(digest)
    insert = entries(batch, "insert", sets, ("keys", "xid"))
    return _journal(insert, sql.SQL("cardinality(keys)"), sql.SQL("r (id, key, xid) as ({}), ").format(rows))


_NOTHING = sql.SQL("").format()


def _journal(insert: sql.Composed, rows: sql.Composable, first: sql.Composable = _NOTHING) -> Question[Entries]:
    query = sql.SQL(
        "with {}j as ({} returning {} as rows, xid::text::bigint as xid)"
        " select coalesce(sum(rows), 0), coalesce(array_agg(distinct xid), '{{}}') as xids from j"
    ).format(first, insert, rows)
    return Question(query, None, _entries)


def _entries(cursor: psycopg.Cursor[Any]) -> Entries:
    row = cursor.fetchone()
    assert row is not None, "an aggregate without grouping has one row"
    return Entries(int(row[0]), row[1])


def follow_triggers(connection: Connection, table: TargetTable, batch: uuid.UUID) -> None:
    """Bring the entries that a statement has journalled itself in step with its rows; in the same transaction.

    A trigger may have written the row again after our statement.  Such a write inside an exception block carries a
    subtransaction's id, and an undo would take the row for a person's.
    """
    if "update" not in table.fires:
        return
    connection.execute(
        sql.SQL(
            "update hybrid_sync.journal j set xid = t.xmin from {} t where j.batch_id = {} and t.id = j.id"
            " and t.xmin::text <> j.xid::text and not exists (select from hybrid_sync.journal n"
            "  where n.batch_id = j.batch_id and n.id = j.id and n.seq > j.seq)"
        ).format(sql.Identifier(table.schema, table.name), batch)
    )
