"""The row loop: rows that were refused together are staged once, and each that the target takes is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from psycopg import sql

from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.keys import COLUMN
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.rows.columns import SplicedRows
from hybrid_sync.schema.target_structure import base_types
from hybrid_sync.write.journal import Batch, journal_changes, journal_inserts
from hybrid_sync.write.split import REFUSED, RowRefusal, Splitter, refusal_of
from hybrid_sync.write.statements import Statements, flag
from hybrid_sync.write.wants import Moving, Wants, as_columns
from hybrid_sync.write.write import Writer, Written, copy_isolated

_ROWS = sql.Identifier("pg_temp", "hybrid_sync_row")
_IMAGES = sql.Identifier("pg_temp", "hybrid_sync_image")
_SEGMENT = sql.SQL("s.hybrid_sync_n between split.lo and split.hi")
_ONE = sql.SQL("s.hybrid_sync_n = split.lo")
_ALL = sql.SQL("true")


class RowLoop:
    """Isolation of one batch's rows; lives in the batch's transaction."""

    def __init__(self, writer: Writer, *, by_hand: bool = False, last: Callable[[], bool] = lambda: False) -> None:
        self.connection: Connection = writer.connection
        self._writer = writer
        table = writer.table
        # The target's modifiers and domains must judge each row by itself, not the COPY that stages them all.
        loose = {
            name for name in writer.plan.target_columns
            if (c := table.columns[name]).type_oid != c.base_oid or c.precision is not None or c.max_length is not None
        }  # fmt: skip
        base = writer.statements
        self.statements = Statements(
            table, writer.plan, _ROWS, _IMAGES, base.adopting, frozenset(loose), _SEGMENT
        )  # fmt: skip
        self.everything = replace(self.statements, segment=sql.SQL("true"))
        self._prepare()
        self._splitter = Splitter(self.connection, table, _ROWS, by_hand=by_hand, last=last)

    # --- what the loop writes ----------------------------------------------------------------------------------

    def update(self, rows: SplicedRows) -> list[RowRefusal]:
        """Update each row that the target takes, its before-image first."""
        self.clear_images()
        refused = self.stage(rows, flagged=True)
        if self.statements.changing:
            refused += self._split(self._image_and_update, imaged=True)
        return refused

    def insert(self, rows: SplicedRows) -> list[RowRefusal]:
        """Insert each row that the target takes."""
        refused = self.stage(rows, flagged=self._writer.stages_everything)
        return refused + self._insert()

    def _insert(self, where: sql.SQL = _ALL) -> list[RowRefusal]:
        attempt = sql.SQL("select count(*) into split.expected from {} s where {}; {} order by s.hybrid_sync_n;")
        return self._split(lambda some: attempt.format(_ROWS, some.segment, some.insert()), where, imaged=False)

    def _split(
        self, attempt: Callable[[Statements], sql.Composed], where: sql.SQL = _ALL, *, imaged: bool
    ) -> list[RowRefusal]:  # fmt: skip
        """Split the staged rows, those `where` the condition holds."""

        def checked(rows: sql.SQL) -> sql.Composed:
            some = replace(self.statements, segment=sql.SQL("{} and {}").format(where, rows))
            return self._splitter.checked(attempt(some), some, imaged=imaged)

        return self._splitter.split(checked(_SEGMENT), checked(_ONE))

    def _image_and_update(self, some: Statements) -> sql.Composed:
        # A policy that forbids the update hides the row from the lock, so it is counted without one.
        counted = sql.SQL("get diagnostics expected = row_count;")
        if self._writer.table.row_security:
            counted = sql.SQL("{} into split.expected;").format(some.differing("count(*)"))  # type: ignore[assignment]
        return sql.SQL("{}; {} {};").format(some.take_images(), counted, some.update())

    # --- rows that want each other's unique values: see `park.Lines` -------------------------------------------

    @property
    def columns(self) -> Mapping[str, TargetColumn]:
        return self._writer.table.columns

    def left(self) -> bool:
        """Whether any row is staged."""
        row = self.connection.execute(sql.SQL("select exists (select from {})").format(_ROWS)).fetchone()
        return bool(row and row[0])

    def about_to_move(self) -> Moving:
        """All staged rows that differ, their images taken."""
        self.clear_images()
        self.connection.execute(self.everything.take_images())
        return self._moving(self.everything.segment)

    def uncomputable(self, wants: Wants) -> list[RowRefusal]:
        """The staged rows for which a unique index has no value."""
        for index in wants.uncomputed:
            query = wants.keys_then(index, self._moving(self.statements.segment).then)
            if refused := self._splitter.split(sql.SQL("expected := 0; perform q.* from {} q;").format(query)):
                return refused
        return []

    def write(self) -> list[RowRefusal]:
        """Update the staged rows whose before-image was taken, and insert those that were added as new."""
        counted = sql.SQL(
            "select count(*) into split.expected from {rows} s join {images} i on i.id = s.id where {segment};"
        )

        def update(some: Statements) -> sql.Composed:
            return sql.SQL("{} {};").format(
                counted.format(rows=_ROWS, images=_IMAGES, segment=some.segment), some.update()
            )

        return self._split(update, imaged=True) + self._insert(sql.SQL("s.hybrid_sync_new"))

    def numbers(self, refused: Sequence[RowRefusal]) -> set[int]:
        """The numbers under which these rows are staged."""
        rows = self.connection.execute(
            sql.SQL("select hybrid_sync_n from {} where id = any(%s)").format(_ROWS), ([r.item for r in refused],)
        ).fetchall()
        return {int(row[0]) for row in rows}

    def refusals(self, found: Mapping[int, tuple[str, str | None]]) -> list[RowRefusal]:
        """Codes and constraints by the rows' numbers, as refusals."""
        rows = self.connection.execute(
            sql.SQL("select hybrid_sync_n, id from {} where hybrid_sync_n = any(%s)").format(_ROWS), (list(found),)
        ).fetchall()
        return [RowRefusal(row_id, *found[n]) for n, row_id in rows]

    def drop(self, refused: Sequence[RowRefusal]) -> None:
        """Take these rows off the stage."""
        self.connection.execute(
            sql.SQL("delete from {} where id = any(%s)").format(_ROWS), ([r.item for r in refused],)
        )

    def _moving(self, segment: sql.Composable) -> Moving:
        """The staged rows that differ, as they shall be; those of a segment."""
        some, columns = self.statements, self.statements.table.columns
        unset = {c: sql.SQL("null::{}").format(raw(column.type_sql)) for c, column in columns.items()}
        kept = {c: sql.SQL("t.{}").format(sql.Identifier(c)) for c in columns}
        changed = kept | {c: some.cast(c) for c in some.changing}
        new = unset | {c: some.cast_new(c) for c in some.plan.target_columns}
        then = sql.SQL(
            "select {changed} from {rows} s join {images} i on i.id = s.id join {table} t on t.id = s.id"
            " where {segment}"
            " union all select {new} from {rows} s where s.hybrid_sync_new and {segment}"
        ).format(
            changed=as_columns(changed), new=as_columns(new), rows=_ROWS, images=_IMAGES, table=some.relation,
            segment=segment,
        )  # fmt: skip
        lines = sql.SQL("select s.id, s.hybrid_sync_n as n from {} s").format(_ROWS)
        movers = sql.SQL("{} join {} i on i.id = s.id").format(lines, _IMAGES)
        return Moving(some.relation, some.plan.target_columns, then, tuple(columns), lines, movers)

    # --- the journal -------------------------------------------------------------------------------------------

    def journal_updates(self, source: str | None = None) -> Written:
        """One entry for each row that was updated, with the id of the subtransaction that wrote it; of one `source`."""
        batch, of_source = self._of(source)
        rows = sql.SQL(
            "select i.key, i.id, t.xmin, i.prior, i.before from {} i join {} s on s.id = i.id join {} t on t.id = i.id"
            " where {} order by s.hybrid_sync_n"
        ).format(_IMAGES, _ROWS, self.statements.relation, of_source)
        found = answer(self.connection, journal_changes(batch, rows))
        return Written(updated=found.rows, xids=found.xids)

    def journal_inserts(self, source: str | None = None) -> Written:
        """One entry for each subtransaction that inserted, with the keys of its rows; of one `source`."""
        batch, of_source = self._of(source)
        rows = sql.SQL(
            "select {}, t.xmin, s.hybrid_sync_n from {} s join {} t on t.id = s.id where {}"
            " and s.hybrid_sync_new is not false and not exists (select from {} r where r.id = s.id)"
        ).format(self.statements.key("s"), _ROWS, self.statements.relation, of_source, REFUSED)
        found = answer(self.connection, journal_inserts(batch, rows, len(self._writer.plan.key_columns)))
        return Written(inserted=found.rows, xids=found.xids)

    def _of(self, source: str | None) -> tuple[Batch, sql.Composed]:
        batch = self._writer.batch
        if source is None:
            return batch, sql.SQL("true").format()
        return replace(batch, source=source), sql.SQL("s.hybrid_sync_source = {}").format(source)

    # --- stage and split ---------------------------------------------------------------------------------------

    def stage(self, rows: SplicedRows, *, flagged: bool) -> list[RowRefusal]:
        """Fill the stage with these rows, numbered; those that cannot even be staged come back."""
        self.connection.execute(sql.SQL("truncate {} restart identity").format(_ROWS))
        names = [*self._writer.plan.target_columns]
        names += [flag(c) for c in self.statements.deferred] if flagged else []
        into = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            _ROWS, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        refused = [refusal_of(refused) for refused in copy_isolated(self.connection, into, rows)]
        self.gather_statistics()
        return refused

    def add(self, plan: ReadPlan, rows: SplicedRows, *, new: bool) -> list[RowRefusal]:
        """Stage these rows of one source besides the others; all carry the pending flags of their plan."""
        if not rows:
            return []
        names = [*plan.target_columns, *(flag(slot.column) for slot in plan.references if slot.deferred)]
        into = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            _ROWS, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        refused = [refusal_of(refused) for refused in copy_isolated(self.connection, into, rows)]
        self.connection.execute(
            sql.SQL(
                "update {} set hybrid_sync_source = {}, hybrid_sync_new = {} where hybrid_sync_source is null"
            ).format(_ROWS, sql.Literal(plan.source), sql.Literal(new))
        )
        return refused

    def ready(self, *, adopting: bool) -> None:
        """Everything is staged; `adopting` when native rows are among the known ones."""
        self.statements = replace(self.statements, adopting=adopting)
        self.everything = replace(self.everything, adopting=adopting)
        self.gather_statistics()

    def gather_statistics(self) -> None:
        """Without them the planner takes a fresh temporary table for large, or for empty once it is filled."""
        self.connection.execute(sql.SQL("analyze {} (id, hybrid_sync_n)").format(_ROWS))

    def count(self) -> int:
        """How many rows are staged."""
        row = self.connection.execute(sql.SQL("select count(*) from {}").format(_ROWS)).fetchone()
        return int(row[0]) if row else 0

    def clear_images(self) -> None:
        self.connection.execute(sql.SQL("truncate {}").format(_IMAGES))

    def altered(self) -> list[uuid.UUID]:
        """The rows that were written, and that a trigger then gave other values."""
        return self._splitter.altered()

    def _prepare(self) -> None:
        """The loop's own tables; made anew, because a retry in the same transaction may come here again."""
        self.connection.execute(sql.SQL("drop table if exists {}, {}").format(_ROWS, _IMAGES))
        table, columns = self._writer.table, self._writer.plan.target_columns
        loose = self.statements.loose
        types = {c: table.columns[c].type_sql for c in columns} | base_types(self.connection, table, loose)
        listed = [sql.SQL("{} {}").format(sql.Identifier(c), raw(t)) for c, t in types.items()]
        listed += [sql.SQL("{} boolean").format(sql.Identifier(flag(c))) for c in self.statements.deferred]
        self.connection.execute(
            sql.SQL(
                "create temp table hybrid_sync_row"
                " ({}, hybrid_sync_n int generated always as identity primary key, hybrid_sync_source text,"
                " hybrid_sync_new boolean) on commit drop"
            ).format(sql.SQL(", ").join(listed))
        )
        self.connection.execute(
            sql.SQL(
                "create temp table hybrid_sync_image (id uuid primary key, key {}, prior xid, before jsonb)"
                " on commit drop"
            ).format(COLUMN)
        )
