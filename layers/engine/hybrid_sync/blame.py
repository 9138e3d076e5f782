"""What a server's error is about: which side it came from, and whether the machine, the statement or a row is to
blame."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg

from hybrid_sync.errors import ConfigurationMissing, StructureMismatch, SyncError
from hybrid_sync.errors import Side as Side
from hybrid_sync.timing import waited

CONTENTION = ("40001", "40P01", "55P03")
"""Serialisation failure, deadlock, lock timeout: the same work mostly succeeds when it is repeated."""
CANCELLED = "57014"
SHORT = {
    "53100": ("its disk is full", "; free space there, or enlarge it"),
    "53400": ("a limit is reached, such as temp_file_limit", "; where it persists, raise that limit of our role"),
}
"""What a server is short of that a person has to give it, and how."""
_TOO_LARGE = "22003"

ELSEWHERE = "^(08|25006|25P|40|53|55P03|57|58)"
"""Codes of the connection, the session, the machine or other sessions: no row is to blame, unless a trigger chose one.

A regular expression that Python and PostgreSQL read alike.
"""

_SIDE, _SECONDS = "hybrid_sync_side", "hybrid_sync_seconds"


class _Sided(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor whose errors say which side they came from, and how long their statement ran."""

    side: ClassVar[Side]

    def execute(self, *arguments: Any, **options: Any) -> Any:
        with marked(self.side):
            return super().execute(*arguments, **options)

    def executemany(self, *arguments: Any, **options: Any) -> None:
        with marked(self.side):
            super().executemany(*arguments, **options)

    @contextmanager
    def copy(self, *arguments: Any, **options: Any) -> Iterator[psycopg.Copy]:
        began = time.thread_time()
        with marked(self.side, lambda: time.thread_time() - began), super().copy(*arguments, **options) as copy:
            yield copy


class LegacyCursor(_Sided):
    side = "legacy"


class TargetCursor(_Sided):
    side = "target"


@contextmanager
def marked(side: Side, worked: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
    """`worked`: seconds within that were our own, and no wait for the side."""
    began = time.monotonic()
    try:
        yield
    except psycopg.Error as error:
        _mark(error, side, time.monotonic() - began)
        raise
    finally:
        waited(side, max(time.monotonic() - began - worked(), 0.0))


def _mark(error: psycopg.Error, side: Side, seconds: float) -> None:
    if not hasattr(error, _SIDE):
        setattr(error, _SIDE, side)
        setattr(error, _SECONDS, seconds)


def rows_of(copy: psycopg.Copy) -> Iterator[tuple[Any, ...]]:
    """What a COPY sends; where two are read at once, an error of one leaves through the other first, and would be
    called its."""
    began = time.monotonic()
    try:
        yield from copy.rows()
    except psycopg.Error as error:
        if isinstance(copy.cursor, _Sided):
            _mark(error, copy.cursor.side, time.monotonic() - began)
        raise


def side_of(error: psycopg.Error, otherwise: Side) -> Side:
    """The side that the error came from; `otherwise` where its cursor was not one of ours."""
    side: Side = getattr(error, _SIDE, otherwise)
    return side


def seconds_of(error: psycopg.Error) -> float:
    """How long the statement had run."""
    return float(getattr(error, _SECONDS, 0.0))


def is_row_state(sqlstate: str | None) -> bool:
    """Whether a row may be to blame for an error of this code: everything but what the machine or others cause."""
    return sqlstate is not None and re.match(ELSEWHERE, sqlstate) is None


def raised(error: psycopg.Error) -> bool:
    """Whether a PL/pgSQL function raised the error itself, so that its code is the author's choice."""
    return error.diag.source_function == "exec_stmt_raise"


# A line of the context in any language of the server, which writes the language's name and the function's signature in
# each, in this order or (Turkish) the other; a statement or an assignment, which may quote values, stands in quotes.
_NAME = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_]*)'
_SIGNATURE = rf"({_NAME}(?:\.{_NAME})?)\("
_FUNCTION = re.compile(
    rf"""[^"'«»(=\n]*PL/pgSQL[^"'«»(=\n]*?["«]?{_SIGNATURE}|{_SIGNATURE}[^"'«»=\n]*\) PL/pgSQL""", re.ASCII
)
_OTHER_LANGUAGE = re.compile("PL/(?!pgSQL)")
_CLOSES = {'"': '"', "'": "'", "«": "»", "»": "«", "“": "”", "「": "」"}
_OPENED = re.compile(f"[{''.join(_CLOSES)}]")
_RAISE = re.compile("(?<![A-Za-z_])RAISE(?![A-Za-z_])")


def function_in(line: str) -> str | None:
    """The PL/pgSQL function that a line of an error's context names, without its arguments."""
    found = _FUNCTION.match(line)
    return found and (found[1] or found[2])


def functions_in(context: str) -> list[str]:
    """Those that were running, the innermost first, each once; ours only where there is no other.

    What a statement or an assignment quotes is passed over, on however many lines it stands.
    """
    found: list[str] = []
    ends = ""  # what the quotation ends with that began on a line before
    for line in context.split("\n"):
        if ends:
            ends = "" if line.rstrip(" .").endswith(ends) else ends
        elif function := function_in(line):
            found.append(function)
        elif opened := _OPENED.search(line):
            close = _CLOSES[opened[0]]
            ends = "" if line[opened.end() :].rstrip(" .").endswith(close) else close
    theirs = [name for name in found if not name.startswith("hybrid_sync")]
    return list(dict.fromkeys(theirs or found))


def in_theirs(error: psycopg.Error) -> bool:
    """Whether a function that is not ours was running, in PL/pgSQL or another procedural language.

    A parallel worker, a COPY, our own functions and those of SQL alone stand in an error's context as well, and leave
    the statement to blame.
    """
    context = error.diag.context or ""
    return _OTHER_LANGUAGE.search(context) is not None or any(
        not name.startswith("hybrid_sync") for name in functions_in(context)
    )


def at_raise(line: str) -> bool:
    """Whether it says that the function raised the error itself."""
    return function_in(line) is not None and _RAISE.search(line) is not None


def in_a_function(error: psycopg.Error) -> str | None:
    """A sentence about an error that arose in a function of the server's, for which no step has a name: its code and
    the function, never its text, which may quote values; None of any other."""
    functions = functions_in(error.diag.context or "")
    if not functions:
        return None
    called = f", which {functions[-1]} calls," if len(functions) > 1 else ""
    return (
        f"A statement of ours met with {error.sqlstate} in the function {functions[0]}{called} of"
        f" {side_of(error, 'target')}."
        " Where it is the function of a trigger, or of an event trigger, let it pass the role of hybrid-sync."
    )


def quotable(error: psycopg.Error) -> bool:
    """Whether the message is the server's own about our statement: no function was running that could have written it.

    Class 22 and 23 messages quote values even so.  A right that is missing is told in words that quote none, so it is
    enough that no function of others was running.
    """
    state = error.sqlstate or ""
    written_by_others = in_theirs(error) if state == "42501" else error.diag.context is not None
    return not written_by_others and not raised(error) and state[:2] not in ("22", "23", "P0")


def primary(error: psycopg.Error) -> str:
    """The server's own message without DETAIL, where cell values stand; the code alone where a function may have
    written it, or where the message itself quotes values."""
    state = error.sqlstate or ""
    return (error.diag.message_primary or state) if quotable(error) else state


@contextmanager
def computable(side: Side) -> Iterator[None]:
    """A row whose values legacy cannot compute is put aside by whoever compares; where it cannot compute, by a rule or
    a join, whether the row is there at all, nothing can be counted; nor where the target cannot add up what it has."""
    try:
        yield
    except psycopg.DataError as error:
        if side_of(error, side) != "legacy":
            if error.sqlstate != _TOO_LARGE:
                raise
            raise StructureMismatch(
                f"The target cannot add up an amount of money ({error.sqlstate}): the sum is larger than a number of"
                " PostgreSQL can be, so nothing can be compared.",
                "Look for the amount that is far too large, and correct it in legacy.",
            ) from None
        raise StructureMismatch(
            f"Legacy cannot compute a rule, a key or a join for some row ({error.sqlstate}): nothing can be counted.",
            "Correct that row, or write the expression so that every row has a value, as with nullif(…, 0).",
        ) from None


def hidden() -> ConfigurationMissing:
    """Our schema is there, and shows our role nothing."""
    return ConfigurationMissing(
        "The target's hybrid_sync schema shows its rows to another role, not to ours: ours has lost BYPASSRLS.",
        "Run `hybrid-sync install` again with an owner's DSN, which gives that back to hybrid_sync_worker.",
    )


def unseen(target: psycopg.Connection[Any] | None, otherwise: SyncError) -> SyncError:
    """What to raise where a record of ours was not found: `otherwise`, unless row security hides them all.

    Asked only where something is missing already; never by REST, where a transaction takes no further question.
    """
    if target is None:
        return otherwise
    row = target.execute("select exists (select from hybrid_sync.migration)").fetchone()
    return otherwise if row and row[0] else hidden()
