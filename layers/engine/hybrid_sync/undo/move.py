"""Putting columns back where rows want each other's unique values: all let go of them first, then all get theirs."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from hybrid_sync.catalog.shape import TargetColumn
from hybrid_sync.postgres import require_row
from hybrid_sync.schema.uniqueness import Uniqueness
from hybrid_sync.undo.attempt import Attempt, Refusal, halve, refuse
from hybrid_sync.undo.verdict import UNDO, Stage
from hybrid_sync.write.images import restored
from hybrid_sync.write.native import write
from hybrid_sync.write.park import TWINS
from hybrid_sync.write.parking import Collided, Parking
from hybrid_sync.write.wants import Moving, Wants, as_columns


def put_back(stage: Stage, attempt: Attempt) -> None:
    """Undo the staged lines that are rows of the table; a line that cannot follow stays with those that wait for it."""
    if not _contested(stage, attempt):
        refuse(stage, halve(stage, attempt))
        again = sql.SQL("update {} set verdict = 'ours' where verdict = 'refused' and sqlstate = any({})")
        if not stage.connection.execute(again.format(UNDO, sql.Literal(list(TWINS)))).rowcount:
            return
    deferring = True
    while _any_left(stage):
        try:
            refused = _move(stage, attempt, deferring=deferring)
        except Collided:
            deferring = False  # the server then tells which line it is
            continue
        if not refused:
            return
        refuse(stage, refused)


def _contested(stage: Stage, attempt: Attempt) -> bool:
    """Whether a unique value keeps the lines from going back as they are; thousands need not be halved to know it."""
    row = stage.connection.execute(sql.SQL("select coalesce(max(n), 0) from {}").format(UNDO)).fetchone()
    everything = attempt(1, int(row[0]) if row else 0)
    try:
        with stage.connection.transaction():
            write(stage.connection, everything)
    except psycopg.Error as error:
        require_row(stage.connection, error, [(everything, None)])
        return error.sqlstate in TWINS
    return False


def _any_left(stage: Stage) -> bool:
    left = sql.SQL("select exists (select from {} where verdict = 'ours' and row_xid is not null)").format(UNDO)
    row = stage.connection.execute(left).fetchone()
    return bool(row and row[0])


class _Undone(Exception):
    """Lines were refused while others stood parked: everything since the savepoint is undone."""


def _move(stage: Stage, attempt: Attempt, *, deferring: bool) -> list[Refusal]:
    """All lines, or none; then those that stay come back."""
    refused: list[Refusal] = []
    try:
        with stage.connection.transaction():
            refused = _set_all(stage, attempt, deferring=deferring)
            if refused:
                raise _Undone
    except _Undone:
        pass
    return refused


def _set_all(stage: Stage, attempt: Attempt, *, deferring: bool) -> list[Refusal]:
    moving = _moving(stage)
    wants = Wants(stage.connection, moving)
    if stay := wants.blocked():
        return _named(stay)
    parking = Parking(stage.connection, moving, stage.table.columns, wants, deferring=deferring)
    refused = halve(stage, attempt)
    if not refused:
        refused = [Refusal(line, None, None) for line in sorted(_left(stage) | parking.still_parked())]
    if refused:
        return refused + _named(wants.waiting_for(r.line for r in refused))
    parking.end()
    return []


def _left(stage: Stage) -> set[int]:
    """Lines that a trigger of the target left out without an error."""
    rows = stage.connection.execute(
        sql.SQL("select n from {} where verdict = 'ours' and row_xid is not null").format(UNDO)
    ).fetchall()
    return {int(row[0]) for row in rows}


def _named(lines: Mapping[int, Uniqueness]) -> list[Refusal]:
    unique, exclusion = TWINS
    return [Refusal(n, exclusion if index.exclusion else unique, index.name) for n, index in lines.items()]


def _moving(stage: Stage) -> Moving:
    columns: dict[str, TargetColumn] = stage.table.columns
    back = {c.name: restored(sql.SQL("u.before"), c) for c in stage.columns if c.name != "id"}
    kept = {c: sql.SQL("t.{}").format(sql.Identifier(c)) for c in columns}
    moved = sql.SQL("u.verdict in ('ours', 'done') and u.row_xid is not null")
    lines = sql.SQL("select u.id, u.n from {} u where {}").format(UNDO, moved)
    then = sql.SQL("select {} from {} u join {} t on t.id = u.id where {}").format(
        as_columns(kept | back), UNDO, stage.relation, moved
    )
    # The verdicts are younger than the statistics of the stage.
    stage.connection.execute(sql.SQL("analyze {} (id, n, verdict, row_xid)").format(UNDO))
    return Moving(stage.relation, tuple(back), then, tuple(columns), lines, lines)
