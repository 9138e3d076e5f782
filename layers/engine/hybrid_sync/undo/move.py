"""Undo lines that the target may refuse; where they hold each other's unique values, all are moved aside first and
then set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import psycopg
from psycopg import sql

from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.halve import Refusal, Refused
from hybrid_sync.postgres import require_row
from hybrid_sync.undo.verdict import UNDO, Stage
from hybrid_sync.write.images import restored
from hybrid_sync.write.native import write, write_each
from hybrid_sync.write.park import TWINS, move
from hybrid_sync.write.split import SUPPRESSED
from hybrid_sync.write.wants import Moving, Wants, as_columns

Attempt = Callable[[Sequence[int]], sql.Composed]
"""The statement that undoes these staged lines, a range, and gives them the verdict `done`."""


def lines(some: Sequence[int]) -> sql.Composed:
    """The condition that a line is one of these, and may be undone."""
    return sql.SQL("u.verdict = 'ours' and u.n between {} and {}").format(some[0], some[-1])


def try_each(stage: Stage, attempt: Attempt) -> list[Refusal[int]]:
    """Undo every line that the target accepts; returns the others, and why."""
    return write_each(stage.connection, stage.numbers(), attempt, lambda some: _require_as_before(stage, some))


def _require_as_before(stage: Stage, some: Sequence[int]) -> None:
    """Refused where a trigger of the target has given a line that was put back other values than it had.

    Such a row stays as the run left it: with values that neither side ever had it would pass for undone.  Of a deleted
    row that comes back, columns that no run fills are the target's own: a trigger may stamp them as with any new row.
    """
    if not stage.table.fires or stage.segment.operation == "insert":
        return
    differs = [
        sql.SQL('t.{}::text collate pg_catalog."C" is distinct from {}::text').format(
            sql.Identifier(c.name), restored(sql.SQL("u.before"), c)
        )
        for c in stage.columns
        if stage.segment.operation != "delete" or stage.is_filled(c.name)
    ]
    found = stage.connection.execute(
        sql.SQL(
            "select exists (select from {} u join {} t on t.id = u.id"
            " where u.verdict = 'done' and u.n between {} and {} and ({}))"
        ).format(UNDO, stage.relation, some[0], some[-1], sql.SQL(" or ").join([sql.SQL("false"), *differs]))
    ).fetchone()
    if found is not None and found[0]:
        raise Refused(SUPPRESSED)


def refuse(stage: Stage, refused: Iterable[Refusal[int]]) -> None:
    """Without a code where nothing but a trigger left the line out."""
    for r in refused:
        stage.connection.execute(
            sql.SQL("update {} set verdict = 'refused', sqlstate = {}, constraint_name = {} where n = {}").format(
                UNDO, None if r.sqlstate == SUPPRESSED else r.sqlstate, r.constraint, r.item
            )
        )


def put_back(stage: Stage, attempt: Attempt) -> None:
    """Undo the staged lines that are rows of the table; a line that cannot follow stays with those that wait for it."""
    if not _contested(stage, attempt):
        refuse(stage, try_each(stage, attempt))
        again = sql.SQL("update {} set verdict = 'ours' where verdict = 'refused' and sqlstate = any({})")
        if not stage.connection.execute(again.format(UNDO, list(TWINS))).rowcount:
            return
    move(_Lines(stage, attempt))


def _contested(stage: Stage, attempt: Attempt) -> bool:
    """Whether a unique value keeps the lines from going back as they are; thousands need not be halved to know it."""
    if not (numbers := stage.numbers()):
        return False
    everything = attempt(numbers)
    try:
        with stage.connection.transaction():
            write(stage.connection, everything)
            _require_as_before(stage, numbers)
    except Refused:
        return False
    except psycopg.Error as error:
        require_row(stage.connection, error, [(everything, None)])
        return error.sqlstate in TWINS
    return False


class _Lines:
    """The lines of a stage that are rows of the table, for `park.move`."""

    def __init__(self, stage: Stage, attempt: Attempt) -> None:
        self.connection = stage.connection
        self._stage = stage
        self._attempt = attempt

    @property
    def columns(self) -> Mapping[str, TargetColumn]:
        return self._stage.table.columns

    def left(self) -> bool:
        return bool(self._open())

    def about_to_move(self) -> Moving:
        stage, columns = self._stage, self.columns
        back = {c.name: restored(sql.SQL("u.before"), c) for c in stage.columns if c.name != "id"}
        kept = {c: sql.SQL("t.{}").format(sql.Identifier(c)) for c in columns}
        moved = sql.SQL("u.verdict in ('ours', 'done') and u.row_xid is not null")
        lines = sql.SQL("select u.id, u.n from {} u where {}").format(UNDO, moved)
        then = sql.SQL("select {} from {} u join {} t on t.id = u.id where {}").format(
            as_columns(kept | back), UNDO, stage.relation, moved
        )
        # The verdicts are younger than the statistics of the stage.
        self.connection.execute(sql.SQL("analyze {} (id, n, verdict, row_xid)").format(UNDO))
        return Moving(stage.relation, tuple(back), then, tuple(columns), lines, lines)

    def uncomputable(self, wants: Wants) -> list[Refusal[int]]:
        return []  # what stood there before was computed once

    def write(self) -> list[Refusal[int]]:
        """A line that is left although nothing refused it, a trigger of the target has left out."""
        return try_each(self._stage, self._attempt) or [Refusal(line, SUPPRESSED) for line in self._open()]

    def numbers(self, refused: Sequence[Refusal[int]]) -> set[int]:
        return {r.item for r in refused}

    def refusals(self, found: Mapping[int, tuple[str, str | None]]) -> list[Refusal[int]]:
        return [Refusal(n, code, name) for n, (code, name) in found.items()]

    def drop(self, refused: Sequence[Refusal[int]]) -> None:
        refuse(self._stage, refused)

    def _open(self) -> list[int]:
        rows = self.connection.execute(
            sql.SQL("select n from {} where verdict = 'ours' and row_xid is not null order by n").format(UNDO)
        ).fetchall()
        return [int(row[0]) for row in rows]
