"""A bad row costs that row: what the server refuses is found, set aside with its reason, and the rest is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from hybrid_sync.failpoints import failpoint
from hybrid_sync.postgres import Connection, is_row_state
from hybrid_sync.rows.splice import Spliced
from hybrid_sync.target.park import TWINS, move_all, write_contested
from hybrid_sync.target.row_loop import SUPPRESSED, Refusal, RowLoop
from hybrid_sync.target.write import RowsSuppressed, Writer, Written

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
}
_UNREADABLE = {"22021": "invalid_encoding", "22003": "numeric_out_of_range"}
# The SQL standard leaves classes beyond 4 and H to implementations; these are the ones PostgreSQL itself uses.
_SERVERS_OWN = ("53", "54", "55", "57", "58", "72", "XX")


class Refused(NamedTuple):
    """One row that the target did not take: codes and names, never a value."""

    key: bytes
    reason: str
    sqlstate: str
    constraint: str | None = None
    column: str | None = None


def reason_of(sqlstate: str | None) -> str:
    """Why the target refused a row: by SQLSTATE, never by message."""
    state = sqlstate or ""
    if (known := _REASONS.get(state)) is not None:
        return known
    # A code of its own is what a trigger's `raise … using errcode` carries, as PostgREST's PT403 does.
    raised = state[:2] in ("P0", "45") or (state[:1] in "56789IJKLMNOPQRSTUVWXYZ" and state[:2] not in _SERVERS_OWN)
    return "trigger_exception" if state and raised else "other"


def unreadable_reason(sqlstate: str) -> str:
    """Why legacy cannot compute a row under the catalog's expressions."""
    return _UNREADABLE.get(sqlstate, "expression_failed")


def write_isolated(
    connection: Connection, writer: Writer, new: Sequence[Spliced], known: Sequence[Spliced]
) -> tuple[Written, list[Refused]]:
    """Write every row that the target takes; the others come back with their reasons.

    The usual case is one attempt and no bad row.  When it is refused, the rows are staged once and the server itself
    splits them under savepoints: few statements from here whether one row is bad or every tenth.
    """
    contested = False
    if not new and not known:
        return Written(), []
    if (new and writer.stages_everything) or known:
        writer.prepare()
    try:
        with connection.transaction():  # a savepoint: the caller's transaction is open
            return writer.write(new, known), []
    except RowsSuppressed:
        pass
    except psycopg.Error as error:
        if not is_row_state(error.sqlstate):
            raise
        contested = error.sqlstate in TWINS
    failpoint("batch.isolating", connection)
    loop = RowLoop(writer)
    done, refusals = Written(), list[Refusal]()
    if known:
        # Thousands of rows that wait for a value of another batch are told by one query, not tried one by one.
        refused = move_all(loop, known) if contested else write_contested(loop, known, loop.update(known))
        refusals += refused
        done.add(loop.journal_updates(len(known) - len(refused)))
    if new:
        refused = loop.insert(new)
        refusals += refused
        done.add(loop.journal_inserts())
    return done, _named((*new, *known), refusals)


def _named(rows: Sequence[Spliced], refusals: Sequence[Refusal]) -> list[Refused]:
    keys = {row.data[6:22]: row.key for row in rows}
    return [Refused(keys[r.id.bytes], reason_of(r.sqlstate), r.sqlstate, r.constraint, r.column) for r in refusals]
