"""Attempts over numbered rows of a stage, cut until the rows that are refused stand alone: there or from here.

On the server no attempt needs a round trip.  From here each has its own time limit, so that a row that takes too long,
or that somebody keeps locked, is found like any bad row.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from hybrid_sync.blame import raised
from hybrid_sync.catalog.shape import TargetTable
from hybrid_sync.halve import Refusal, halve, halve_on_server
from hybrid_sync.postgres import Connection, require_row, send_with_next, usual_limits
from hybrid_sync.rows.columns import Spliced
from hybrid_sync.write.names import named
from hybrid_sync.write.native import BACK_IN_A_BLOCK
from hybrid_sync.write.statements import Statements

REFUSED = sql.Identifier("pg_temp", "hybrid_sync_refused")
_ALTERED = sql.Identifier("pg_temp", "hybrid_sync_altered")

SUPPRESSED = "ZS001"
"""Our own SQLSTATE for a row that the target left out without an error."""
MISPLACED = "ZS002"
"""For a row that is not there under its own id and key after it was written."""
ALTERED_STATE = "ZS003"
"""For a row that is there with values that a trigger gave it."""

# Writes one segment and looks at what is there now: whoever changes rows on the way, no count of a statement shows.
_CHECKED = """
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
_ONE = """
<<split>>
declare
  lo int := {lo}; hi int := {hi}; expected bigint; done bigint;
begin
  {attempt}
end
"""
_KEEP = """
        insert into {refused} select s.id, split.state, split.violated, split.named,
          strpos(split_part(split.context, e'\\n', 1), {ours}) = 0
        from {rows} s where s.hybrid_sync_n = split.lo;
"""
_SHORT = sql.SQL("set local lock_timeout = '2s'; set local statement_timeout = '10s'")
"""While rows are tried one by one: a slow or locked one is to cost itself, and not the time of the batch."""
SERVERS_OWN = ("22", "23", "54")
"""Classes in which PostgreSQL itself refuses a row: a value, a constraint, a limit such as an index entry's size."""


RowRefusal = Refusal[uuid.UUID]
"""Of the row that gets this id."""


def refusal_of(refused: Refusal[Spliced]) -> RowRefusal:
    """Of a row that cannot even be staged."""
    return Refusal(uuid.UUID(bytes=refused.item.data[6:22]), *refused[1:])


class Splitter:
    """Attempts over the rows of one stage, whose `id` and number `hybrid_sync_n` it knows."""

    def __init__(
        self, connection: Connection, table: TargetTable, rows: sql.Identifier, *, by_hand: bool,
        last: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`by_hand` splits from here; also on the `last` attempt, when contention is not repeated any more."""
        self._connection = connection
        self._table = table
        self._rows = rows
        # The first line of an error's context names the statement, or the function, in which it arose.
        self._ours = rows.as_string(connection)
        self._by_hand = by_hand
        self._last = last
        # Made anew, because a retry in the same transaction may come here again.
        connection.execute(
            sql.SQL(
                "drop table if exists {}, {};"
                " create temp table hybrid_sync_refused (id uuid, state text, violated text, named text,"
                " raised boolean) on commit drop;"
                " create temp table hybrid_sync_altered (id uuid) on commit drop"
            ).format(REFUSED, _ALTERED)
        )

    def split(self, attempt: sql.Composed, one: sql.Composed | None = None) -> list[RowRefusal]:
        """Run `attempt`, PL/pgSQL over the rows `split.lo` to `split.hi`, in ever smaller segments; what is refused.

        `one` is the same for `split.lo` alone.
        """
        found = self._connection.execute(
            sql.SQL("select min(hybrid_sync_n), max(hybrid_sync_n) from {}").format(self._rows)
        ).fetchone()
        self._connection.execute(sql.SQL("truncate {}").format(REFUSED))
        if found is None or found[0] is None:
            return []
        if not self._table.writes_beside:
            return self._split(attempt, one, *found)
        from hybrid_sync.write.around import attempted, attempting, kept  # only where a write may set off others

        attempting(self._connection)
        refused = self._split(kept(attempt), kept(one) if one is not None else None, *found)
        attempted(self._connection)
        return refused

    def _split(self, attempt: sql.Composed, one: sql.Composed | None, first: int, last: int) -> list[RowRefusal]:
        if not self._by_hand:
            try:
                return named(self._connection, self._there(attempt, one, first, last), self._table)
            except psycopg.Error as error:
                # What the server passes on: a cancelled statement, contention, the machine; or a trigger that says so.
                require_row(self._connection, error, (), last=self._last)
                self._by_hand = True
        return named(self._connection, self._here(attempt, first, last), self._table)

    def checked(self, attempt: sql.Composable, some: Statements, *, imaged: bool) -> sql.Composed:
        """The attempt with a look at what it has written: all rows of `some`, or those whose images were taken."""
        altered = sql.SQL("insert into {} {};").format(_ALTERED, some.altered("insert", "update"))
        return sql.SQL(_CHECKED).format(
            attempt=attempt, suppressed=SUPPRESSED, misplaced=MISPLACED, altered=altered, back=BACK_IN_A_BLOCK,
            arrived=some.arrived(imaged=imaged),
        )  # fmt: skip

    def altered(self) -> list[uuid.UUID]:
        """The rows that were written, and that a trigger then gave other values."""
        return [row[0] for row in self._connection.execute(sql.SQL("select distinct id from {}").format(_ALTERED))]

    def _there(self, attempt: sql.Composed, one: sql.Composed | None, first: int, last: int) -> list[RowRefusal]:
        keep = sql.SQL(_KEEP).format(refused=REFUSED, rows=self._rows, ours=self._ours)
        with self._connection.transaction():
            # The plan for a row by itself is kept, and the table may be empty when it is made.
            send_with_next(self._connection, sql.SQL("set local enable_seqscan = off"))
            halve_on_server(self._connection, first, last, attempt, keep, one=one)
        send_with_next(self._connection, sql.SQL("set local enable_seqscan = default"))
        rows = self._connection.execute(
            sql.SQL("select id, state, nullif(violated, ''), nullif(named, ''), raised from {}").format(REFUSED)
        ).fetchall()
        return [RowRefusal(*row) for row in rows]

    def _here(self, attempt: sql.Composed, first: int, last: int) -> list[RowRefusal]:
        def run(some: Sequence[int]) -> None:
            body = sql.SQL(_ONE).format(lo=some[0], hi=some[-1], attempt=attempt)
            with self._connection.transaction():
                self._connection.execute(sql.SQL("do {}").format(body.as_string(self._connection)))

        self._connection.execute(_SHORT)
        refused = halve(
            range(first, last + 1),
            run,
            lambda error, _: require_row(self._connection, error, (), last=lambda: True),
            parts=8,  # each refusal waits for a time limit
            refusal=self._of_line,
        )
        self._connection.execute(usual_limits())
        return [refusal for line in refused for refusal in self._of_row(line)]

    def _of_line(self, line: int, error: psycopg.Error) -> Refusal[int]:
        state = error.sqlstate or ""
        first, _, _ = (error.diag.context or "").partition("\n")
        by_trigger = self._ours not in first if state[:2] in SERVERS_OWN else raised(error) and state[:2] != "ZS"
        return Refusal.of(line, error)._replace(raised=by_trigger)

    def _of_row(self, line: Refusal[int]) -> list[RowRefusal]:
        """The row of the line; parts of the stage that were taken off have none."""
        rows = self._connection.execute(
            sql.SQL("insert into {} (id, state) select id, {} from {} where hybrid_sync_n = {} returning id").format(
                REFUSED, line.sqlstate, self._rows, line.item
            )
        ).fetchall()
        return [Refusal(row[0], *line[1:]) for row in rows]
