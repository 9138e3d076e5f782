"""Stage, journal, write: one set of spliced rows into one table, all or nothing.

Known rows go by COPY into a staging table; those that are equal to what the target holds are dropped there, the
before-images of the others are taken under their locks, and only then are they updated.  New rows go by COPY
straight into the table, after the updates: a unique value that a known row gives up is free by then.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, is_row_state
from hybrid_sync.rows.scan import decode_key
from hybrid_sync.rows.splice import HEADER, TRAILER, Spliced
from hybrid_sync.target.native import back, copying, write
from hybrid_sync.target.statements import Statements, flag

_STAGE = sql.Identifier("pg_temp", "hybrid_sync_stage")
_IMAGES = sql.Identifier("pg_temp", "hybrid_sync_before")
_CHUNK_BYTES = 128 * 1024


class RowsSuppressed(Exception):
    """A trigger of the target left rows out without an error; which ones, only writing them one by one tells."""


@dataclass
class Written:
    """What one set of rows did to the table."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    xids: list[int] = field(default_factory=list)

    def add(self, other: Written) -> None:
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.xids += other.xids


@dataclass(frozen=True)
class Batch:
    """Whose rows these are: the name under which the journal keeps them."""

    run_id: str
    batch_id: uuid.UUID
    entity: str
    source: str


class Writer:
    """Writes rows of one entity within the caller's transaction; the caller holds their buckets."""

    def __init__(
        self, connection: Connection, table: TargetTable, plan: ReadPlan, run_id: str, batch: uuid.UUID,
        *, staging: bool = False,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.plan = plan
        self.table = table
        self.batch = Batch(run_id, batch, plan.entity, plan.source)
        self.statements = Statements(table, plan, _STAGE, _IMAGES)
        self._staging = staging
        self._prepared = self._staged = False

    @property
    def stages_everything(self) -> bool:
        """Whether new rows too must be staged: COPY is refused where row security applies to our role."""
        return self._staging or self.table.row_security

    def adopt(self) -> None:
        """From here on native rows are among the known ones: they get their key, and the journal keeps its absence."""
        self.statements = replace(self.statements, adopting=True)

    def write(self, new: Sequence[Spliced], known: Sequence[Spliced]) -> Written:
        """Update what differs of `known`, insert `new`; raises the server's error when any row is refused."""
        done = Written()
        if known:
            done.add(self._update(known))
        if new:
            done.add(self._insert(new))
        return done

    # --- known rows ----------------------------------------------------------------------------------------

    def _update(self, rows: Sequence[Spliced]) -> Written:
        if not self.statements.changing:
            return Written(unchanged=len(rows))
        self._stage(rows)
        changed = self.connection.execute(self.statements.take_images()).rowcount
        done = Written(unchanged=len(rows) - changed)
        if not changed:
            return done
        row = write(
            self.connection,
            sql.SQL(
                "with u as ({} returning t.xmin::text::int8 as x) select count(*), array_agg(distinct x) from u"
            ).format(self.statements.update()),
        ).fetchone()
        failpoint("batch.changed", self.connection)
        assert row is not None, "an aggregate without grouping has one row"
        if int(row[0]) < changed:
            raise RowsSuppressed
        done.updated, done.xids = changed, [int(x) for x in row[1]]
        self.connection.execute(
            sql.SQL(
                "insert into hybrid_sync.journal"
                " (run_id, batch_id, entity, source, operation, keys, id, xid, prior, before)"
                " select %s, %s, %s, %s, 'update', key, id, %s::text::xid, prior, before from {}"
            ).format(_IMAGES),
            (*self._named(), str(done.xids[0])),
        )
        failpoint("batch.journalled", self.connection)
        return done

    # --- new rows ------------------------------------------------------------------------------------------

    def _insert(self, rows: Sequence[Spliced]) -> Written:
        if self.stages_everything:
            self._stage(rows)
            count = write(self.connection, self.statements.insert()).rowcount
        else:
            columns = sql.SQL(", ").join(sql.Identifier(c) for c in self.plan.target_columns)
            into = sql.SQL("copy {} ({}) from stdin (format binary)").format(self.statements.relation, columns)
            copying(self.connection)
            count = copy_rows(self.connection, into, rows)
            back(self.connection)
        failpoint("batch.changed", self.connection)
        if count < len(rows):
            raise RowsSuppressed
        xid = self._xid_of(rows[0])
        keys = [part for row in rows for part in decode_key(row.key)]
        self.connection.execute(
            "insert into hybrid_sync.journal (run_id, batch_id, entity, source, operation, keys, xid)"
            " values (%s, %s, %s, %s, 'insert', %s, %s::text::xid)",
            (*self._named(), keys, str(xid)),
        )
        failpoint("batch.journalled", self.connection)
        return Written(inserted=count, xids=[xid])

    def _xid_of(self, row: Spliced) -> int:
        # Under a savepoint rows carry the subtransaction's id, which only the row itself tells.
        found = self.connection.execute(
            sql.SQL("select xmin::text::int8 from {} where id = %s").format(self.statements.relation),
            (uuid.UUID(bytes=row.data[6:22]),),
        ).fetchone()
        assert found is not None, "the server has just counted this row as written"
        return int(found[0])

    def _named(self) -> tuple[str, uuid.UUID, str, str]:
        return self.batch.run_id, self.batch.batch_id, self.batch.entity, self.batch.source

    # --- staging -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create the temporary tables, once per transaction and before any savepoint."""
        if self._prepared:
            return
        columns = [(c, self.table.columns[c].type_sql) for c in self.plan.target_columns]
        columns += [(flag(c), "boolean") for c in self.statements.deferred]
        listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), raw(t)) for n, t in columns)
        self.connection.execute(sql.SQL("create temp table hybrid_sync_stage ({}) on commit drop").format(listed))
        self.connection.execute(
            "create temp table hybrid_sync_before (id uuid, key int8[], prior xid, before jsonb) on commit drop"
        )
        self._prepared = True

    def _stage(self, rows: Sequence[Spliced]) -> None:
        """Only these rows are staged, and no image is taken yet."""
        if self._staged:  # in a savepoint a truncate makes new files, which a batch that stages once need not pay
            self.connection.execute(sql.SQL("truncate {}, {}").format(_STAGE, _IMAGES))
        self._staged = True
        copy_rows(self.connection, sql.SQL("copy {} from stdin (format binary)").format(_STAGE), rows)
        # Without statistics the planner takes a fresh temporary table for large and hashes the whole target; those of
        # the column that joins are enough, and those of every document would cost more than the update.
        self.connection.execute(sql.SQL("analyze {} (id)").format(_STAGE))
        failpoint("batch.staged", self.connection)


def copy_rows(connection: Connection, statement: sql.Composed, rows: Sequence[Spliced]) -> int:
    """One binary COPY of spliced rows; how many the server took."""
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in _chunks(rows):
                copy.write(chunk)
        return cursor.rowcount


def _chunks(rows: Sequence[Spliced]) -> Iterator[bytes]:
    """The rows as a binary COPY, small ones joined: neither a copy of them all in one, nor a call for each."""
    waiting, size = [HEADER], 0
    for row in rows:
        if size + len(row.data) > _CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
        if len(row.data) > _CHUNK_BYTES:
            yield row.data
            continue
        waiting.append(row.data)
        size += len(row.data)
    yield b"".join([*waiting, TRAILER])


def copy_isolated(
    connection: Connection, into: sql.Composed, rows: Sequence[Spliced]
) -> list[tuple[Spliced, psycopg.Error]]:
    """COPY every row that its types take, halving what is refused; rare, because types are compared when planning."""
    refused: list[tuple[Spliced, psycopg.Error]] = []
    waiting = [rows]
    while waiting:
        some = waiting.pop()
        try:
            with connection.transaction():
                copy_rows(connection, into, some)
        except psycopg.Error as error:
            if not is_row_state(error.sqlstate):
                raise
            if len(some) == 1:
                refused.append((some[0], error))
            else:
                waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
    return refused
