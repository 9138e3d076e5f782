"""A bad row costs that row: what the server refuses is found, set aside with its reason, and the rest is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from hybrid_sync.blame import CANCELLED, CONTENTION
from hybrid_sync.errors import StructureMismatch
from hybrid_sync.failpoints import failpoint
from hybrid_sync.keys import decode_key
from hybrid_sync.postgres import Connection, Parameters, is_row_state, require_row
from hybrid_sync.rows.columns import Spliced, SplicedRows
from hybrid_sync.rows.failed import FailedRow
from hybrid_sync.timing import timed
from hybrid_sync.write.park import TWINS, move
from hybrid_sync.write.row_loop import RowLoop
from hybrid_sync.write.split import ALTERED_STATE, MISPLACED, SERVERS_OWN, SUPPRESSED, RowRefusal
from hybrid_sync.write.write import RowsSuppressed, Writer, Written

_REASONS = {
    "23505": "unique_violation",
    "23P01": "exclusion_violation",
    "23514": "check_violation",
    "23502": "not_null_violation",
    "23503": "foreign_key_violation",
    "22001": "value_too_long",
    "22003": "numeric_out_of_range",
    "22021": "invalid_encoding",
    "22P05": "bad_text",
    "22P02": "bad_value",
    "22P03": "bad_value",
    "22007": "bad_value",
    "22008": "bad_value",
    "P0001": "trigger_exception",
    "54000": "row_too_large",
    SUPPRESSED: "trigger_suppressed",
    MISPLACED: "trigger_changed_identity",
    ALTERED_STATE: "trigger_changed_value",
    "42501": "trigger_exception",
    CANCELLED: "too_slow",
    **dict.fromkeys(CONTENTION, "contended"),
}
_OF_POLICIES = ("42501", "0A000")
"""A policy that a row violates, and COPY into a table that has some."""
ALTERED = "trigger_changed_value"
"""The row is there, with values that a trigger gave it."""
_UNREADABLE = {"22021": "invalid_encoding", "22003": "numeric_out_of_range"}


def reason_of(sqlstate: str | None) -> str:
    """Why the target refused a row: by SQLSTATE, never by message."""
    state = sqlstate or ""
    if (known := _REASONS.get(state)) is not None:
        return known
    # The statement itself was taken, so any other code is what a trigger chose, or met with.
    return "other" if not state or state[:2] in SERVERS_OWN else "trigger_exception"


def unreadable_reason(sqlstate: str) -> str:
    """Why legacy cannot compute a row under the catalog's expressions."""
    return _UNREADABLE.get(sqlstate, "expression_failed")


@timed("isolate")
def write_isolated(
    connection: Connection,
    writer: Writer,
    new: SplicedRows,
    known: SplicedRows,
    *,
    last: Callable[[], bool] = lambda: False,
) -> tuple[Written, list[FailedRow]]:
    """Write every row that the target takes; the others come back with their reasons, and so do those that a trigger
    has given other values.

    The usual case is one attempt and no bad row.  When it is refused, the rows are staged once and the server itself
    splits them under savepoints: few statements from here whether one row is bad or every tenth.  Contention is passed
    on to be repeated, until an attempt that is the `last` isolates it like a bad row.
    """
    contested = False
    if not new and not known:
        return Written(), []
    if (new and writer.stages_everything) or known:
        writer.prepare()
    by_hand = False
    counted = writer.table.writes_beside
    if counted:
        from hybrid_sync.write.around import attempted, attempting  # only where a write may set off others

        attempting(connection)
    try:
        with connection.transaction():  # a savepoint: the caller's transaction is open
            done = writer.write(new, known)
            return done, _altered(chain(new, known), done)
    except RowsSuppressed:
        _require_the_same_security(writer)
    except psycopg.Error as error:
        _require_row(writer, error, writer.asked(new=bool(new), known=bool(known)), last)
        by_hand = error.sqlstate in (*CONTENTION, CANCELLED) or not is_row_state(error.sqlstate)
        contested = error.sqlstate in TWINS and not by_hand
    if counted:
        attempted(connection)
    failpoint("batch.isolating", connection)
    loop = RowLoop(writer, by_hand=by_hand, last=last)
    done, refusals = Written(), list[RowRefusal]()
    if known:
        # Thousands of rows that wait for a value of another batch are found by one query, not tried one by one.
        refusals = [] if contested else loop.update(known)
        done.add(loop.journal_updates())
        if waiting := known if contested else _contested(known, refusals):
            refusals = [r for r in refusals if r.sqlstate not in TWINS]
            refusals += loop.stage(waiting, flagged=True)
            loop.clear_images()
            refusals += move(loop)
            done.add(loop.journal_updates())
        done.unchanged = len(known) - len(refusals) - done.updated
    if new:
        refusals += loop.insert(new)
        done.add(loop.journal_inserts())
    done.altered = loop.altered()
    return done, _named(writer, chain(new, known), refusals) + _altered(chain(new, known), done)


def _require_row(
    writer: Writer, error: psycopg.Error, asked: Iterable[tuple[sql.Composed, Parameters]], last: Callable[[], bool]
) -> None:
    """Return when a row is to blame; raise when none is."""
    connection = writer.connection
    if connection.info.transaction_status == TransactionStatus.INERROR:
        raise error  # before the savepoint: no row was written
    require_row(connection, error, asked, last=last)
    if error.sqlstate in _OF_POLICIES:
        _require_the_same_security(writer)


def _require_the_same_security(writer: Writer) -> None:
    """Rows were refused or left out: StructureMismatch where that is a policy which was not there when the entity was
    planned.  It would be every row that it hides, under the name of a trigger, and nobody would compare them."""
    table = writer.table
    if table.row_security:
        return
    asked = sql.SQL("select row_security_active({}::regclass)").format(writer.statements.relation.as_string(None))
    if writer.connection.execute(asked).fetchall() == [(True,)]:
        raise StructureMismatch(
            f"Row security of the target's {table.schema}.{table.name} applies to our role since this run was planned.",
            "Run `hybrid-sync install` with an owner's DSN, which excuses our role or gives it a policy, then sync.",
        )


def _contested(rows: SplicedRows, refusals: Sequence[RowRefusal]) -> SplicedRows:
    """The rows that a unique value kept out."""
    contested = {r.item.bytes for r in refusals if r.sqlstate in TWINS}
    return rows.where([identity in contested for identity in rows.ids])


def _named(writer: Writer, rows: Iterable[Spliced], refusals: Sequence[RowRefusal]) -> list[FailedRow]:
    keys = {row.data[6:22]: row.key for row in rows}
    return [
        FailedRow(decode_key(keys[r.item.bytes]), _why(writer, r), r.column, r.sqlstate, r.constraint) for r in refusals
    ]


def _why(writer: Writer, refusal: RowRefusal) -> str:
    if writer.table.row_security and refusal.sqlstate == "42501":
        return "policy_violation"
    reason = reason_of(refusal.sqlstate)
    unnamed = refusal.sqlstate[:2] in SERVERS_OWN and not (refusal.constraint or refusal.column)
    # A code that a trigger chose, or met with, says nothing of the row's own values and constraints.
    return "trigger_exception" if refusal.raised and (unnamed or reason in ("contended", "too_slow")) else reason


def _altered(rows: Iterable[Spliced], done: Written) -> list[FailedRow]:
    if not done.altered:
        return []
    keys = {row.data[6:22]: row.key for row in rows}
    return [FailedRow(decode_key(keys[row.bytes]), ALTERED) for row in sorted(done.altered) if row.bytes in keys]
