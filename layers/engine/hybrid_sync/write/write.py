"""Stage, journal, write: one set of spliced rows into one table, all or nothing.

Known rows go by COPY into a staging table; those that are equal to what the target holds are dropped there, the
before-images of the others are taken under their locks, and only then are they updated: in one statement, unless what
it has done must be looked up.  New rows go by COPY straight into the table, after the updates: a unique value that a
known row gives up is free by then.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import psycopg
from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.failpoints import failpoint
from hybrid_sync.halve import Refusal, halve
from hybrid_sync.keys import COLUMN, WORK_MB
from hybrid_sync.postgres import Connection, Question, answer, require_row, send_with_next, together
from hybrid_sync.rows.columns import Spliced, SplicedRows
from hybrid_sync.session import Trip
from hybrid_sync.timing import timed
from hybrid_sync.write.inserted import journal_inserted
from hybrid_sync.write.journal import Batch, journal_changes
from hybrid_sync.write.native import BACK, COPYING, back, copying, write
from hybrid_sync.write.statements import Statements, flag

_STAGE = sql.Identifier("pg_temp", "hybrid_sync_stage")
_IMAGES = sql.Identifier("pg_temp", "hybrid_sync_before")
_WIDEST = 1600
"""Columns of a row within a statement: PostgreSQL has 1,664, and some are ours."""
_ONE_STATEMENT = {"jit": "off", "work_mem": f"{WORK_MB}MB"}
"""It is compiled for no number of rows, which is a guess; and its rows, which it holds twice, stay out of temporary
files (an eighth of its time)."""
_OTHER_JOINS = ("enable_hashjoin", "enable_mergejoin")
_BY_INDEX = sql.SQL(
    "select set_config(u.name, 'off', true) from unnest({}::text[]) as u (name) where exists (select"
    " from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and a.attname = 'id'"
    " where i.indrelid = {}::regclass and i.indisunique and i.indisvalid and i.indpred is null)"
)


class RowsSuppressed(Exception):
    """The target left rows out without an error, or has them under another id or key; which ones, only writing them
    one by one shows."""


@dataclass
class Written:
    """What one set of rows did to the table."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    xids: list[int] = field(default_factory=list)
    altered: list[uuid.UUID] = field(default_factory=list)
    """Rows that were written, and that a trigger then gave other values."""

    def add(self, other: Written) -> None:
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.xids += other.xids
        self.altered += other.altered


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
        self._prepared = self._staged = self._copying = False

    @property
    def stages_everything(self) -> bool:
        """Whether new rows too must be staged: COPY is refused where row security applies to our role, and what a
        trigger makes of a row can only be compared with what was staged."""
        return self._staging or self.table.row_security or "insert" in self.table.fires

    def adopt(self) -> None:
        """From here on native rows are among the known ones: they get their key, and the journal keeps its absence."""
        self.statements = replace(self.statements, adopting=True)

    def write(self, new: SplicedRows, known: SplicedRows) -> Written:
        """Update what differs of `known`, insert `new`; raises the server's error when any row is refused."""
        done, self._copying = Written(), False
        if known:
            done.add(self._update(known, copies=bool(new) and not self.stages_everything))
        if new:
            done.add(self._insert(new))
        return done

    # --- known rows ----------------------------------------------------------------------------------------

    @timed("update")
    def _update(self, rows: SplicedRows, *, copies: bool) -> Written:
        """`copies`: new rows are copied next, so their COPY's path can travel with the last statement."""
        if not self.statements.changing:
            return Written(unchanged=len(rows))
        self._stage(rows, counted=self._looks_after)
        done = self._looked_after(copies=copies) if self._looks_after else self._changed(copies=copies)
        done.unchanged = len(rows) - done.updated
        return done

    @property
    def _looks_after(self) -> bool:
        """Whether what an update has done is to be looked up: a trigger may write a row again, or a policy hide it; or
        the rows are so wide that one statement cannot hold what a row is and what it becomes."""
        wide = len(self.table.columns) + len(self.statements.changing) > _WIDEST
        return wide or self.table.row_security or "update" in self.table.fires

    def _changed(self, *, copies: bool) -> Written:
        """All in one statement."""
        with together(self.connection) as trip:
            trip.do(by_index(self.statements.relation.as_string(self.connection)))
            for name, value in _ONE_STATEMENT.items():
                trip.do(sql.SQL("set local {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            asked = trip.ask(Question(self.statements.change(self.batch), None, lambda found: found.fetchall()[0]))
            for name in (*_OTHER_JOINS, *_ONE_STATEMENT):
                trip.do(sql.SQL("set local {} = default").format(sql.Identifier(name)))
            trip.do(BACK)
            self._copy_next(trip, copies=copies)
        changed, written, xids, fired = asked.value
        failpoint("batch.changed", self.connection)
        if written < changed or fired:  # a trigger that the plan did not know of may have changed values
            raise RowsSuppressed
        failpoint("batch.journalled", self.connection)
        return Written(updated=changed, xids=xids)

    def _looked_after(self, *, copies: bool) -> Written:
        """Step by step: images, update, then the journal of what stands there."""
        with timed("compare"):
            changed = self.connection.execute(self.statements.take_images()).rowcount
        self._require_none_hidden(changed)
        if not changed:
            return Written()
        # The version that a row has now: a trigger may have written it again, in a subtransaction of its own.  Both of
        # ours first, of which the planner knows how many there are: what it takes for one row is joined row by row.
        changes = sql.SQL(
            "select s.hybrid_key9f2c, s.id, t.xmin, s.hybrid_prior9f2c, s.hybrid_before9f2c from (select s.*,"
            " i.key as hybrid_key9f2c, i.prior as hybrid_prior9f2c, i.before as hybrid_before9f2c"
            " from {} i join {} s on s.id = i.id offset 0) s join {} t on {}"
        ).format(_IMAGES, _STAGE, self.statements.relation, self.statements.same)
        with together(self.connection) as trip:
            updated = trip.ask(Question(self.statements.update(), None, lambda cursor: cursor.rowcount))
            trip.do(BACK)
            journalled = trip.ask(journal_changes(self.batch, changes))
            altered = trip.ask(Question(self.statements.altered("update"), None, _ids))
            self._copy_next(trip, copies=copies)
        failpoint("batch.changed", self.connection)
        if min(updated.value, journalled.value.rows) < changed:
            raise RowsSuppressed
        done = Written(updated=changed, xids=journalled.value.xids, altered=altered.value)
        failpoint("batch.journalled", self.connection)
        return done

    def _copy_next(self, trip: Trip, *, copies: bool) -> None:
        if copies:
            trip.do(COPYING)
            self._copying = True

    def _require_none_hidden(self, locked: int) -> None:
        """A policy that forbids the update hides the row from the lock, and the row would pass for unchanged."""
        if not self.table.row_security:
            return
        row = self.connection.execute(self.statements.differing("count(*)")).fetchone()
        assert row is not None, "an aggregate without grouping has one row"
        if int(row[0]) > locked:
            raise RowsSuppressed

    # --- new rows ------------------------------------------------------------------------------------------

    @timed("insert")
    def _insert(self, rows: SplicedRows) -> Written:
        if self.stages_everything:
            self._stage(rows)
            count = write(self.connection, self.statements.insert()).rowcount
        else:
            columns = sql.SQL(", ").join(sql.Identifier(c) for c in self.plan.target_columns)
            into = sql.SQL("copy {} ({}) from stdin (format binary)").format(self.statements.relation, columns)
            if not self._copying:
                copying(self.connection)
            self._copying = False
            count = copy_rows(self.connection, into, rows)
            back(self.connection)
        failpoint("batch.changed", self.connection)
        if count < len(rows):
            raise RowsSuppressed
        journalled = journal_inserted(
            self.connection, self.batch, self.statements, rows, copied=not self.stages_everything
        )
        if journalled.rows < len(rows):
            raise RowsSuppressed
        done = Written(inserted=journalled.rows, xids=journalled.xids)
        if self.stages_everything:
            done.altered = answer(self.connection, Question(self.statements.altered("insert"), None, _ids))
        failpoint("batch.journalled", self.connection)
        return done

    def asked(self, *, new: bool, known: bool) -> list[tuple[sql.Composed, None]]:
        """The statements that write such rows, for asking the server about them; what is copied, as an INSERT."""
        asked: list[tuple[sql.Composed, None]] = []
        if known and self.statements.changing:
            some = self.statements
            each = (some.take_images(), some.update()) if self._looks_after else (some.change(self.batch),)
            asked += [(one, None) for one in each]
        if new and self.stages_everything:
            asked.append((self.statements.insert(), None))
        elif new:
            names = [sql.Identifier(c) for c in self.plan.target_columns]
            asked.append(
                (
                    sql.SQL("insert into {} ({}) select {} from {} where false").format(
                        self.statements.relation, sql.SQL(", ").join(names), sql.SQL(", ").join(names),
                        self.statements.relation,
                    ),
                    None,
                )
            )  # fmt: skip
        return asked

    # --- staging -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create the temporary tables, once per transaction and before any savepoint."""
        if self._prepared:
            return
        columns = [(c, self.table.columns[c].type_sql) for c in self.plan.target_columns]
        columns += [(flag(c), "boolean") for c in self.statements.deferred]
        listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), raw(t)) for n, t in columns)
        send_with_next(
            self.connection, sql.SQL("create temp table hybrid_sync_stage ({}) on commit drop").format(listed)
        )
        if self._looks_after:
            send_with_next(
                self.connection,
                sql.SQL(
                    "create temp table hybrid_sync_before (id uuid, key {}, prior xid, before jsonb) on commit drop"
                ).format(COLUMN),
            )
        self._prepared = True

    @timed("stage")
    def _stage(self, rows: SplicedRows, *, counted: bool = True) -> None:
        """Only these rows are staged, and no image is taken yet; `counted`: the planner is to know how many."""
        if self._staged:  # in a savepoint a truncate makes new files, which a batch that stages once need not pay
            tables = sql.SQL(", ").join([_STAGE, _IMAGES] if self._looks_after else [_STAGE])
            send_with_next(self.connection, sql.SQL("truncate {}").format(tables))
        self._staged = True
        copy_rows(self.connection, sql.SQL("copy {} from stdin (format binary)").format(_STAGE), rows)
        # Without statistics the planner takes a fresh temporary table for large and hashes the whole target; those of
        # the column that joins are enough, and those of every document would cost more than the update.  A statement
        # that goes row by row does so anyway.
        if counted:
            send_with_next(self.connection, sql.SQL("analyze {} (id)").format(_STAGE))
        failpoint("batch.staged", self.connection)


def by_index(relation: str) -> sql.Composed:
    """From here on in the transaction a statement goes to each row by the index of its id: by its statistics the
    planner would rather read the whole table for each page of a batch.

    Not while a first load has taken that index away: each row would be compared with all others.
    """
    return _BY_INDEX.format(sql.Literal(list(_OTHER_JOINS)), sql.Literal(relation))


def _ids(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[uuid.UUID]:
    return [row[0] for row in cursor.fetchall()]


def copy_rows(connection: Connection, statement: sql.Composed, rows: SplicedRows) -> int:
    """One binary COPY of spliced rows; how many the server took."""
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in rows.chunks():
                copy.write(chunk)
        return cursor.rowcount


def copy_isolated(connection: Connection, into: sql.Composed, rows: SplicedRows) -> list[Refusal[Spliced]]:
    """COPY every row that its types take, halving what is refused; rare, because types are compared when planning."""

    def attempt(some: Sequence[int]) -> None:
        with connection.transaction():
            copy_rows(connection, into, rows[some[0] : some[-1] + 1])

    refused = halve(range(len(rows)), attempt, lambda error, _: require_row(connection, error, ()))
    return [Refusal(rows[one.item], *one[1:]) for one in refused]
