"""The row loop: staged rows are split on the server, under savepoints, until the bad ones stand alone.

A segment that is refused is cut into eight, so that one bad row among thousands costs a few attempts, and a
bad row in every ten costs little more than writing row by row; no attempt needs a round trip.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import psycopg
from psycopg import sql

from hybrid_sync.blame import ELSEWHERE, raised
from hybrid_sync.catalog.columns import raw
from hybrid_sync.catalog.compile import ReadPlan
from hybrid_sync.postgres import Connection, require_row, usual_limits
from hybrid_sync.rows.splice import Spliced
from hybrid_sync.schema.target_structure import base_types
from hybrid_sync.write.names import column_of, known_constraints
from hybrid_sync.write.native import BACK_IN_A_BLOCK
from hybrid_sync.write.statements import Statements, flag
from hybrid_sync.write.wants import Moving, as_columns
from hybrid_sync.write.write import Writer, Written, copy_isolated

_ROWS = sql.Identifier("pg_temp", "hybrid_sync_row")
_IMAGES = sql.Identifier("pg_temp", "hybrid_sync_image")
_REFUSED = sql.Identifier("pg_temp", "hybrid_sync_refused")

_ALTERED = sql.Identifier("pg_temp", "hybrid_sync_altered")

SUPPRESSED = "ZS001"
"""Our own SQLSTATE for a row that the target left out without an error."""
MISPLACED = "ZS002"
"""For a row that is not there under its own id and key after it was written."""
ALTERED_STATE = "ZS003"
"""For a row that is there with values that a trigger gave it."""

# Writes one segment and looks at what is there now: whoever changes rows on the way, no count of a statement tells.
_ATTEMPT = """
      {attempt}
      get diagnostics done = row_count;
      {back};
      if done < expected then
        raise exception using errcode = {suppressed};
      end if;
      {arrived} into split.done;
      if done < expected then
        raise exception using errcode = {misplaced};
      end if;
      {altered}
"""

_LOOP = """
<<split>>
declare
  todo int[] := array[{first}, {last}];  -- a stack of segments, two numbers each
  lo int; hi int; width int; expected bigint; done bigint; state text; violated text; named text;
begin
  while cardinality(todo) > 0 loop
    lo := todo[cardinality(todo) - 1];
    hi := todo[cardinality(todo)];
    todo := trim_array(todo, 2);
    begin
      {attempt}
    exception when others or assert_failure then
      get stacked diagnostics state = returned_sqlstate, violated = constraint_name, named = column_name;
      if state ~ {elsewhere} then
        raise;
      end if;
      if lo = hi then
        insert into {refused} select s.id, split.state, split.violated, split.named
        from {rows} s where s.hybrid_sync_n = split.lo;
      else
        width := (hi - lo + 8) / 8;
        for part in reverse (hi - lo) / width .. 0 loop
          todo := todo || array[lo + part * width, least(hi, lo + (part + 1) * width - 1)];
        end loop;
      end if;
    end;
  end loop;
end
"""

_ONE = """
<<split>>
declare
  lo int := {lo}; hi int := {hi}; expected bigint; done bigint;
begin
  {attempt}
end
"""
_SHORT = sql.SQL("set local lock_timeout = '2s'; set local statement_timeout = '10s'")
"""While rows are tried one by one: a slow or locked one is to cost itself, and not the time of the batch."""


class Refusal(NamedTuple):
    """What the server said of one staged row."""

    id: uuid.UUID
    sqlstate: str
    constraint: str | None = None
    column: str | None = None
    raised: bool = False
    """A trigger is known to have raised it."""


class RowLoop:
    """Isolation of one batch's rows; lives in the batch's transaction."""

    def __init__(self, writer: Writer, *, by_hand: bool = False, last: Callable[[], bool] = lambda: False) -> None:
        """`by_hand` splits from here, where every attempt is a statement of its own with its own time limit; also on
        the `last` attempt, when contention is not repeated any more."""
        self.connection: Connection = writer.connection
        self._by_hand = by_hand
        self._last = last
        self._writer = writer
        table = writer.table
        # The target's modifiers and domains must judge each row by itself, not the COPY that stages them all.
        loose = {
            name for name in writer.plan.target_columns
            if (c := table.columns[name]).type_oid != c.base_oid or c.precision is not None or c.max_length is not None
        }  # fmt: skip
        segment = sql.SQL("s.hybrid_sync_n between split.lo and split.hi")
        base = writer.statements
        self.statements = Statements(
            table, writer.plan, _ROWS, _IMAGES, base.adopting, frozenset(loose), segment
        )  # fmt: skip
        self.everything = replace(self.statements, segment=sql.SQL("true"))
        self._prepare()

    # --- what the loop writes ----------------------------------------------------------------------------------

    def update(self, rows: Sequence[Spliced]) -> list[Refusal]:
        """Update each row that the target takes, its before-image first."""
        self.clear_images()
        refused = self.stage(rows, flagged=True)
        if self.statements.changing:
            refused += self.split(self._image_and_update(), imaged=True)
        return refused

    def update_imaged(self) -> list[Refusal]:
        """Update the staged rows whose before-image was taken already."""
        counted = sql.SQL(
            "select count(*) into split.expected from {rows} s join {images} i on i.id = s.id where {segment};"
        ).format(rows=_ROWS, images=_IMAGES, segment=self.statements.segment)
        return self.split(sql.SQL("{} {};").format(counted, self.statements.update()), imaged=True)

    def insert(self, rows: Sequence[Spliced]) -> list[Refusal]:
        """Insert each row that the target takes."""
        refused = self.stage(rows, flagged=self._writer.stages_everything)
        counted = sql.SQL("select count(*) into split.expected from {} s where {};").format(
            _ROWS, self.statements.segment
        )
        return refused + self.split(
            sql.SQL("{} {} order by s.hybrid_sync_n;").format(counted, self.statements.insert()), imaged=False
        )

    def insert_new(self) -> list[Refusal]:
        """Insert those of the staged rows that were added as new."""
        some = replace(self.statements, segment=sql.SQL("s.hybrid_sync_new and {}").format(self.statements.segment))
        counted = sql.SQL("select count(*) into split.expected from {} s where {};").format(_ROWS, some.segment)
        return self.split(
            sql.SQL("{} {} order by s.hybrid_sync_n;").format(counted, some.insert()), imaged=False, some=some
        )

    def compute(self, query: sql.Composable) -> list[Refusal]:
        """The staged rows for which the query over a segment of them fails."""
        return self.split(sql.SQL("expected := 0; perform q.* from {} q;").format(query), imaged=None)

    def moving(self, segment: sql.Composable | None = None) -> Moving:
        """The staged rows that differ, as they shall be; all, or those of a segment."""
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
            segment=segment or self.everything.segment,
        )  # fmt: skip
        lines = sql.SQL("select s.id, s.hybrid_sync_n as n from {} s").format(_ROWS)
        movers = sql.SQL("{} join {} i on i.id = s.id").format(lines, _IMAGES)
        return Moving(some.relation, some.plan.target_columns, then, tuple(columns), lines, movers)

    def _image_and_update(self) -> sql.Composed:
        # A policy that forbids the update hides the row from the lock, so it is counted without one.
        counted = sql.SQL("get diagnostics expected = row_count;")
        if self._writer.table.row_security:
            counted = sql.SQL("{} into split.expected;").format(self.statements.differing("count(*)"))  # type: ignore[assignment]
        return sql.SQL("{}; {} {};").format(self.statements.take_images(), counted, self.statements.update())

    # --- the journal -------------------------------------------------------------------------------------------

    def journal_updates(self, rows: int) -> Written:
        """One entry for each updated row, with the id of the subtransaction that wrote it; `rows` were not refused."""
        found = self.connection.execute(
            sql.SQL(
                "with j as (insert into hybrid_sync.journal"
                " (run_id, batch_id, entity, source, operation, keys, id, xid, prior, before)"
                " select %s, %s, %s, %s, 'update', i.key, i.id, t.xmin, i.prior, i.before"
                " from {} i join {} t on t.id = i.id order by i.id returning xid::text::int8 as x)"
                " select count(*), coalesce(array_agg(distinct x), '{{}}') from j"
            ).format(_IMAGES, self.statements.relation),
            self._named(),
        ).fetchone()
        assert found is not None, "an aggregate without grouping has one row"
        return Written(updated=int(found[0]), unchanged=rows - int(found[0]), xids=[int(x) for x in found[1]])

    def journal_inserts(self) -> Written:
        """One entry for each subtransaction that inserted, with the keys of its rows."""
        found = self.connection.execute(
            sql.SQL(
                "with j as (insert into hybrid_sync.journal"
                " (run_id, batch_id, entity, source, operation, keys, xid)"
                " select %s, %s, %s, %s, 'insert', array_agg(p.part order by s.hybrid_sync_n, p.place),"
                " t.xmin::text::xid"
                " from {rows} s join {table} t on t.id = s.id"
                " cross join lateral unnest({key}) with ordinality as p(part, place)"
                " where not exists (select from {refused} r where r.id = s.id)"
                " group by t.xmin::text returning keys, xid::text::int8 as x)"
                " select coalesce(sum(cardinality(keys)), 0), coalesce(array_agg(x), '{{}}') from j"
            ).format(rows=_ROWS, table=self.statements.relation, key=self.statements.key("s"), refused=_REFUSED),
            self._named(),
        ).fetchone()
        assert found is not None, "an aggregate without grouping has one row"
        width = len(self._writer.plan.key_columns)
        return Written(inserted=int(found[0]) // width, xids=[int(x) for x in found[1]])

    def journal_moved(self, rows: int) -> Written:
        """One entry for each row that was updated, and one for each source's inserts; `rows` were not refused."""
        run_id, batch_id, entity, _ = self._named()
        names = {"run": run_id, "batch": batch_id, "entity": entity}
        updated = self.connection.execute(
            sql.SQL(
                "with j as (insert into hybrid_sync.journal"
                " (run_id, batch_id, entity, source, operation, keys, id, xid, prior, before)"
                " select %(run)s, %(batch)s, %(entity)s, s.hybrid_sync_source, 'update', i.key, i.id, t.xmin, i.prior,"
                " i.before from {images} i join {rows} s on s.id = i.id join {table} t on t.id = i.id"
                " order by s.hybrid_sync_n returning xid::text::int8 as x)"
                " select count(*), coalesce(array_agg(distinct x), '{{}}') from j"
            ).format(images=_IMAGES, rows=_ROWS, table=self.statements.relation),
            names,
        ).fetchone()
        inserted = self.connection.execute(
            sql.SQL(
                "with j as (insert into hybrid_sync.journal (run_id, batch_id, entity, source, operation, keys, xid)"
                " select %(run)s, %(batch)s, %(entity)s, s.hybrid_sync_source, 'insert',"
                " array_agg(p.part order by s.hybrid_sync_n, p.place), t.xmin::text::xid"
                " from {rows} s join {table} t on t.id = s.id"
                " cross join lateral unnest({key}) with ordinality as p(part, place)"
                " where s.hybrid_sync_new group by s.hybrid_sync_source, t.xmin::text"
                " returning keys, xid::text::int8 as x)"
                " select coalesce(sum(cardinality(keys)), 0), coalesce(array_agg(x), '{{}}') from j"
            ).format(rows=_ROWS, table=self.statements.relation, key=self.statements.key("s")),
            names,
        ).fetchone()
        assert updated is not None and inserted is not None, "an aggregate without grouping has one row"
        changed, new = int(updated[0]), int(inserted[0]) // len(self._writer.plan.key_columns)
        return Written(new, changed, rows - changed - new, [int(x) for x in (*updated[1], *inserted[1])])

    def _named(self) -> tuple[str, uuid.UUID, str, str]:
        batch = self._writer.batch
        return batch.run_id, batch.batch_id, batch.entity, batch.source

    # --- stage and split ---------------------------------------------------------------------------------------

    def stage(self, rows: Sequence[Spliced], *, flagged: bool) -> list[Refusal]:
        """Fill the stage with these rows, numbered; those that cannot even be staged come back."""
        self.connection.execute(sql.SQL("truncate {} restart identity").format(_ROWS))
        names = [*self._writer.plan.target_columns]
        names += [flag(c) for c in self.statements.deferred] if flagged else []
        into = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            _ROWS, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        refused = [_refusal(row, error) for row, error in copy_isolated(self.connection, into, rows)]
        self.gather_statistics()
        return refused

    def add(self, plan: ReadPlan, rows: Sequence[Spliced], *, new: bool) -> list[Refusal]:
        """Stage these rows of one source besides the others; all carry the pending flags of their plan."""
        if not rows:
            return []
        names = [*plan.target_columns, *(flag(slot.column) for slot in plan.references if slot.deferred)]
        into = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            _ROWS, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        refused = [_refusal(row, error) for row, error in copy_isolated(self.connection, into, rows)]
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

    def drop(self, ids: Iterable[uuid.UUID]) -> None:
        """Take these rows off the stage."""
        self.connection.execute(sql.SQL("delete from {} where id = any(%s)").format(_ROWS), (list(ids),))

    def lines(self, ids: Iterable[uuid.UUID]) -> set[int]:
        """The numbers under which these rows are staged."""
        rows = self.connection.execute(
            sql.SQL("select hybrid_sync_n from {} where id = any(%s)").format(_ROWS), (list(ids),)
        ).fetchall()
        return {int(row[0]) for row in rows}

    def ids(self, lines: Iterable[int]) -> dict[int, uuid.UUID]:
        """The ids of staged rows by their numbers."""
        rows = self.connection.execute(
            sql.SQL("select hybrid_sync_n, id from {} where hybrid_sync_n = any(%s)").format(_ROWS), (list(lines),)
        ).fetchall()
        return dict(rows)

    def clear_images(self) -> None:
        self.connection.execute(sql.SQL("truncate {}").format(_IMAGES))

    def split(self, attempt: sql.Composed, *, imaged: bool | None, some: Statements | None = None) -> list[Refusal]:
        """Run `attempt` over the staged rows in ever smaller segments; the rows that are refused alone.

        It writes all rows of `some`, those whose images were taken (`imaged`), or none (None).
        """
        found = self.connection.execute(
            sql.SQL("select min(hybrid_sync_n), max(hybrid_sync_n) from {}").format(_ROWS)
        ).fetchone()
        self.connection.execute(sql.SQL("truncate {}").format(_REFUSED))
        if found is None or found[0] is None:
            return []
        checked = self._checked(attempt, some or self.statements, imaged=imaged)
        if not self._by_hand:
            try:
                return self._named_right(self._split_there(checked, *found))
            except psycopg.Error as error:
                # What the loop passes on: a cancelled statement, contention, the machine; or a trigger that says so.
                require_row(self.connection, error, (), last=self._last)
                self._by_hand = True
        return self._named_right(self._split_here(checked, *found))

    def _named_right(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """With the names that the server's own catalogs know: a trigger can put any text in the place of one."""
        known = known_constraints(self.connection, (r.constraint for r in refusals))
        return [
            r._replace(
                constraint=r.constraint if r.constraint in known else None,
                column=column_of(self._writer.table, r.column),
            )
            for r in refusals
        ]

    def _checked(self, attempt: sql.Composed, some: Statements, *, imaged: bool | None) -> sql.Composed:
        if imaged is None:
            return attempt
        altered = sql.SQL("").format()
        if self._writer.table.fires:
            altered = sql.SQL("insert into {} {};").format(_ALTERED, some.differing("s.id"))
        return sql.SQL(_ATTEMPT).format(
            attempt=attempt, suppressed=sql.Literal(SUPPRESSED), misplaced=sql.Literal(MISPLACED), altered=altered,
            back=BACK_IN_A_BLOCK, arrived=some.arrived(imaged=imaged),
        )  # fmt: skip

    def _split_there(self, attempt: sql.Composed, first: int, last: int) -> list[Refusal]:
        """On the server, without a round trip for each attempt."""
        body = sql.SQL(_LOOP).format(
            first=sql.Literal(first), last=sql.Literal(last), attempt=attempt, rows=_ROWS, refused=_REFUSED,
            elsewhere=sql.Literal(ELSEWHERE),
        )  # fmt: skip
        with self.connection.transaction():
            self.connection.execute(sql.SQL("do {}").format(sql.Literal(body.as_string(self.connection))))
        rows = self.connection.execute(sql.SQL("select id, state, violated, named from {}").format(_REFUSED)).fetchall()
        return [Refusal(row_id, state, violated or None, named or None) for row_id, state, violated, named in rows]

    def _split_here(self, attempt: sql.Composed, first: int, last: int) -> list[Refusal]:
        """Attempt by attempt, each under limits of its own, so that what takes too long is found like any bad row."""
        self.connection.execute(_SHORT)
        refused: list[Refusal] = []
        waiting = [(first, last)]
        while waiting:
            lo, hi = waiting.pop()
            body = sql.SQL(_ONE).format(lo=sql.Literal(lo), hi=sql.Literal(hi), attempt=attempt)
            try:
                with self.connection.transaction():
                    self.connection.execute(sql.SQL("do {}").format(sql.Literal(body.as_string(self.connection))))
            except psycopg.Error as error:
                require_row(self.connection, error, (), last=lambda: True)
                if lo == hi:
                    refused += self._refused_line(lo, error)
                else:
                    width = (hi - lo + 8) // 8
                    parts = [(start, min(hi, start + width - 1)) for start in range(lo, hi + 1, width)]
                    waiting += reversed(parts)
        self.connection.execute(usual_limits())
        return refused

    def _refused_line(self, line: int, error: psycopg.Error) -> list[Refusal]:
        """The row of the line; parts of the stage that were taken off have none."""
        rows = self.connection.execute(
            sql.SQL("insert into {} (id, state) select id, %s from {} where hybrid_sync_n = %s returning id").format(
                _REFUSED, _ROWS
            ),
            (error.sqlstate, line),
        ).fetchall()
        named, by_trigger = error.diag, raised(error) and error.sqlstate not in (SUPPRESSED, MISPLACED)
        return [
            Refusal(row[0], error.sqlstate or "", named.constraint_name, named.column_name, by_trigger) for row in rows
        ]

    def altered(self) -> list[uuid.UUID]:
        """The rows that were written, and that a trigger then gave other values."""
        return [row[0] for row in self.connection.execute(sql.SQL("select distinct id from {}").format(_ALTERED))]

    def _prepare(self) -> None:
        """The loop's own tables; made anew, because a retry in the same transaction may come here again."""
        for name in (_ROWS, _IMAGES, _REFUSED, _ALTERED):
            self.connection.execute(sql.SQL("drop table if exists {}").format(name))
        table, columns = self._writer.table, self._writer.plan.target_columns
        loose = self.statements.loose
        types = {c: table.columns[c].type_sql for c in columns} | base_types(self.connection, table, loose)
        listed = [sql.SQL("{} {}").format(sql.Identifier(c), raw(t)) for c, t in types.items()]
        listed += [sql.SQL("{} boolean").format(sql.Identifier(flag(c))) for c in self.statements.deferred]
        self.connection.execute(
            sql.SQL(
                "create temp table hybrid_sync_row"
                " ({}, hybrid_sync_n int generated always as identity primary key, hybrid_sync_source text,"
                " hybrid_sync_new boolean not null default false) on commit drop"
            ).format(sql.SQL(", ").join(listed))
        )
        self.connection.execute(
            "create temp table hybrid_sync_image (id uuid primary key, key int8[], prior xid, before jsonb)"
            " on commit drop"
        )
        self.connection.execute(
            "create temp table hybrid_sync_refused (id uuid, state text, violated text, named text) on commit drop"
        )
        self.connection.execute("create temp table hybrid_sync_altered (id uuid) on commit drop")


def _refusal(row: Spliced, error: psycopg.Error) -> Refusal:
    named = error.diag
    return Refusal(uuid.UUID(bytes=row.data[6:22]), error.sqlstate or "", named.constraint_name, named.column_name)
