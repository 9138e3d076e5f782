"""Stage, journal, write: one set of spliced rows into one table, all or nothing.

New rows go by COPY straight into the table.  Known rows go by COPY into a staging table; those that are equal to
what the target holds are dropped there, the before-images of the others are taken under their locks, and only then
are they updated.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection
from hybrid_sync.rows.scan import decode_key
from hybrid_sync.rows.splice import HEADER, TRAILER, Spliced
from hybrid_sync.target.images import image_of

_STAGE = sql.Identifier("pg_temp", "hybrid_sync_stage")
_BEFORE = sql.Identifier("pg_temp", "hybrid_sync_before")


@dataclass
class Written:
    """What one set of rows did to the table."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    xids: list[int] = field(default_factory=list)
    suppressed: list[bytes] = field(default_factory=list)
    """Keys of new rows that a trigger of the target refused without an error."""

    def add(self, other: Written) -> None:
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.xids += other.xids
        self.suppressed += other.suppressed


class Writer:
    """Writes rows of one entity within the caller's transaction; the caller holds their buckets."""

    def __init__(
        self, connection: Connection, table: TargetTable, plan: ReadPlan, run_id: str, batch: uuid.UUID
    ) -> None:
        self._connection = connection
        self._table = table
        self._plan = plan
        self._run_id = run_id
        self._batch = batch
        self._relation = sql.Identifier(table.schema, table.name)
        self._deferred = [slot.column for slot in plan.references if slot.deferred]
        self._staged = False

    @property
    def stages_everything(self) -> bool:
        """Whether new rows too must be staged: COPY is refused where row security applies to our role."""
        return self._table.row_security

    def write(self, new: Sequence[Spliced], known: Sequence[Spliced]) -> Written:
        """Insert `new`, update what differs of `known`; raises the server's error when any row is refused."""
        done = Written()
        if new:
            done.add(self._insert(new))
        if known:
            done.add(self._update(known))
        return done

    # --- new rows ------------------------------------------------------------------------------------------

    def _insert(self, rows: Sequence[Spliced]) -> Written:
        columns = sql.SQL(", ").join(sql.Identifier(c) for c in self._plan.target_columns)
        if self.stages_everything:
            self._stage(rows)
            count = self._connection.execute(
                sql.SQL("insert into {} ({}) select {} from {}").format(self._relation, columns, columns, _STAGE)
            ).rowcount
        else:
            count = self._copy(sql.SQL("copy {} ({}) from stdin (format binary)").format(self._relation, columns), rows)
        done = Written(inserted=count)
        arrived = [row.key for row in rows]
        if count < len(rows):
            present = self._present(rows)
            done.suppressed = [row.key for row in rows if row.data[6:22] not in present]
            arrived = [row.key for row in rows if row.data[6:22] in present]
            if not arrived:
                return done
        sample = next(row for row in rows if row.key == arrived[0])
        xid = self._xid_of(sample)
        done.xids.append(xid)
        failpoint("batch.changed", self._connection)
        keys = [part for key in arrived for part in decode_key(key)]
        self._connection.execute(
            "insert into hybrid_sync.journal (run_id, batch_id, entity, source, operation, keys, xid)"
            " values (%s, %s, %s, %s, 'insert', %s, %s::text::xid)",
            (self._run_id, self._batch, self._plan.entity, self._plan.source, keys, str(xid)),
        )
        failpoint("batch.journalled", self._connection)
        return done

    def _present(self, rows: Sequence[Spliced]) -> set[bytes]:
        ids = [uuid.UUID(bytes=row.data[6:22]) for row in rows]
        found = self._connection.execute(
            sql.SQL("select id from {} where id = any(%s)").format(self._relation), (ids,)
        ).fetchall()
        return {row[0].bytes for row in found}

    def _xid_of(self, row: Spliced) -> int:
        # Under a savepoint rows carry the subtransaction's id, which only the row itself tells.
        found = self._connection.execute(
            sql.SQL("select xmin::text::int8 from {} where id = %s").format(self._relation),
            (uuid.UUID(bytes=row.data[6:22]),),
        ).fetchone()
        assert found is not None
        return int(found[0])

    # --- known rows ----------------------------------------------------------------------------------------

    def _update(self, rows: Sequence[Spliced]) -> Written:
        if not self._plan.mapped_columns:
            return Written(unchanged=len(rows))
        self._stage(rows)
        self._connection.execute(sql.SQL("truncate {}").format(_BEFORE))
        changed = self._connection.execute(self._before_sql()).rowcount
        done = Written(unchanged=len(rows) - changed)
        if not changed:
            return done
        row = self._connection.execute(self._update_sql()).fetchone()
        assert row is not None
        done.updated, done.xids = int(row[0]), [int(x) for x in row[1]]
        failpoint("batch.changed", self._connection)
        self._connection.execute(
            sql.SQL(
                "insert into hybrid_sync.journal"
                " (run_id, batch_id, entity, source, operation, keys, id, xid, prior, before)"
                " select %s, %s, %s, %s, 'update', key, id, %s::text::xid, prior, before from {}"
            ).format(_BEFORE),
            (self._run_id, self._batch, self._plan.entity, self._plan.source, str(done.xids[0])),
        )
        failpoint("batch.journalled", self._connection)
        return done

    def _before_sql(self) -> sql.Composed:
        """Before-images of the rows that differ, under their locks, in id order.

        `*<>` compares the stored bytes: jsonb 1.0 and 1, numeric scales and -0 differ in it exactly where their
        canonical text differs, which `is distinct from` would overlook.
        """
        mapped = self._plan.mapped_columns
        image = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(c)) for c in mapped)
        theirs = sql.SQL(", ").join(self._value(c) for c in mapped)
        keys = sql.SQL(", ").join(sql.SQL("x.{}::int8").format(sql.Identifier(c)) for c in self._plan.key_columns)
        return sql.SQL(
            "insert into {before} select x.id, array[{keys}], x.hybrid_sync_prior, {before_image}"
            " from (select t.*, t.xmin as hybrid_sync_prior from {table} t join {stage} s on s.id = t.id"
            " where row({image})::record *<> row({theirs})::record order by t.id for no key update of t) x"
        ).format(
            before=_BEFORE,
            keys=keys,
            before_image=image_of("x", mapped),
            table=self._relation,
            stage=_STAGE,
            image=image,
            theirs=theirs,
        )

    def _update_sql(self) -> sql.Composed:
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(c), self._value(c)) for c in self._plan.mapped_columns
        )
        return sql.SQL(
            "with u as (update {table} t set {assignments} from {stage} s join {before} b on b.id = s.id"
            " where t.id = s.id returning t.xmin::text::int8 as x)"
            " select count(*), array_agg(distinct x) from u"
        ).format(table=self._relation, assignments=assignments, stage=_STAGE, before=_BEFORE)

    def _value(self, column: str) -> sql.Composed:
        """The staged value; a deferred reference that is not resolved yet leaves the target's as it is."""
        name = sql.Identifier(column)
        if column not in self._deferred:
            return sql.SQL("s.{}").format(name)
        return sql.SQL("case when s.{flag} then t.{name} else s.{name} end").format(
            flag=sql.Identifier(_flag(column)), name=name
        )

    # --- staging -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create the temporary tables, once per transaction and before any savepoint."""
        if self._staged:
            return
        columns = [(c, self._table.columns[c].type_sql) for c in self._plan.target_columns]
        columns += [(_flag(c), "boolean") for c in self._deferred]
        listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), raw(t)) for n, t in columns)
        self._connection.execute(sql.SQL("create temp table hybrid_sync_stage ({}) on commit drop").format(listed))
        self._connection.execute(
            "create temp table hybrid_sync_before (id uuid, key int8[], prior xid, before jsonb) on commit drop"
        )
        self._staged = True

    def _stage(self, rows: Sequence[Spliced]) -> None:
        self._connection.execute(sql.SQL("truncate {}").format(_STAGE))
        self._copy(sql.SQL("copy {} from stdin (format binary)").format(_STAGE), rows)
        # Without statistics the planner takes a fresh temporary table for large and hashes the whole target.
        self._connection.execute(sql.SQL("analyze {}").format(_STAGE))
        failpoint("batch.staged", self._connection)

    def _copy(self, statement: sql.Composed, rows: Sequence[Spliced]) -> int:
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.write(HEADER + b"".join(row.data for row in rows) + TRAILER)
            return cursor.rowcount


def _flag(column: str) -> str:
    return f"{column[:50]}__pending"
