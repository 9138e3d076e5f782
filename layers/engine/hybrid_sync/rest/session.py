"""A transaction that is said again: what `Session` holds open, each request of this one says from its beginning.

PostgREST makes a transaction of each request.  So a request carries all statements of the transaction so far:
`hybrid_sync_api.say` runs them, compares what they answer with what they answered before, and undoes everything or,
with the commit, keeps it.  What commits was decided by just the answers that it has met again, under its own locks;
where one differs, `Moved` says so, and the work begins anew.  Steps use it as any Session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from types import SimpleNamespace
from typing import Any, cast

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus

from hybrid_sync.blame import marked
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import Moved, StructureMismatch
from hybrid_sync.rest.answers import Answers, server_error
from hybrid_sync.rest.copying import Cursor
from hybrid_sync.rest.statements import Said, is_look, settings_of
from hybrid_sync.session import Row, Session, Statement

Call = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Asks a function of `hybrid_sync_api`, named here, with what is said; its answer."""

MOST_BYTES = 4_000_000
"""Of the statements of one transaction; each message says all of them again."""
MOST_MESSAGES = 300
"""Of one transaction, and what they carry grows with their square: 15 are usual, 126 with deletes and links; 500 took a
minute where a trigger refused 150 deletes one by one."""
_EXPLAIN = "explain"


@dataclass
class _Transaction:
    """All statements since its beginning; as many as there are digests have been answered."""

    look: bool
    """In one snapshot, of which nothing is kept."""
    said: list[Said] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    failed: bool = False
    messages: int = 0


class RestSession(Session):
    """A Session without a connection: no message but its last one leaves anything behind."""

    def __init__(self, call: Call, address: str) -> None:
        # No psycopg connection is behind it, so its initialiser has nothing to begin with.
        self._call = call
        self._address = address.encode()
        self._current: _Transaction | None = None
        self._is_closed = False

    # --- what psycopg asks a connection for --------------------------------------------------------------------

    @property
    def adapters(self) -> AdaptersMap:
        return psycopg.adapters

    @property
    def connection(self) -> Any:
        """For literals: the server's encoding is UTF-8, as PostgREST's messages are."""
        return None

    @property
    def closed(self) -> bool:
        return self._is_closed

    @property
    def address(self) -> tuple[bytes, ...]:
        return (self._address,)

    @property
    def info(self) -> Any:
        current, status = self._current, TransactionStatus.IDLE
        if current is not None:
            status = TransactionStatus.INERROR if current.failed else TransactionStatus.INTRANS
        return SimpleNamespace(transaction_status=status)

    def __enter__(self) -> RestSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open anywhere: a transaction that has not committed was never there."""
        self._current, self._is_closed = None, True

    # --- the beginning and the end of a transaction ------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._current is not None

    def open_with_next(self, statements: Sequence[bytes]) -> None:
        self._current = _Transaction(is_look(statements[0]), settings_of(statements))

    def end_with_next(self) -> None:
        self._current = None

    def forget_unsent(self) -> bool:
        if self._current is None or self._current.digests or self._current.failed:
            return False
        self._current = None
        return True

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """What a savepoint undoes is left out when the transaction is said again."""
        current = self._in_transaction()
        before = len(current.said)
        try:
            yield None
        except BaseException:  # an interrupt too: what a savepoint undid must never be said again
            del current.said[before:], current.digests[before:]
            current.failed = False
            raise

    # --- statements --------------------------------------------------------------------------------------------

    def send_with_next(self, statement: Any) -> None:
        self._in_transaction().said.append(Said.of(statement, None))

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Row]:
        return self.send_all([(query, params)])

    def send_all(self, statements: Sequence[Statement]) -> psycopg.Cursor[Row]:
        return self.found(statements).cursor()

    def found(self, statements: Sequence[Statement]) -> Answers:
        """The answers of these, and not of what travels ahead of them."""
        current = self._in_transaction()
        asked = [Said.of(*statement) for statement in statements]
        end = asked.pop().text if asked[-1].text in ("commit", "rollback") else ""
        if end == "rollback" and not asked:
            self._current = None
            return Answers([])
        answers: list[Mapping[str, Any]] = []
        parts = list(_parts(asked))
        for part in parts:
            current.said += part
            said = self._say(current, commits=end == "commit" and part is parts[-1])
            answers += said[len(said) - len(part) :]
            self._forget_explained(current)
        if end:
            self._current = None
        return Answers(answers)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        return Cursor(self)

    # --- the messages ------------------------------------------------------------------------------------------

    def _in_transaction(self) -> _Transaction:
        if self._is_closed:
            raise psycopg.OperationalError("the session is closed")
        if self._current is None:
            raise psycopg.ProgrammingError("a statement without a transaction does not go through the REST API")
        if self._current.failed:
            raise psycopg.errors.InFailedSqlTransaction("the transaction has failed")
        return self._current

    def _say(self, current: _Transaction, *, commits: bool) -> list[Mapping[str, Any]]:
        statements = [one.as_json() for one in current.said]
        current.messages += 1
        if current.messages > MOST_MESSAGES or sum(len(one.text) for one in current.said) > MOST_BYTES:
            raise StructureMismatch(
                "The rows take more bytes, or are refused more often, than the REST API carries at once.",
                "The whole flow carries them, over the direct connection.",
            )
        message = {
            "statements": statements, "seen": len(current.digests), "commit": commits,
            "digest": current.digests[-1] if current.digests else "",
        }  # fmt: skip
        with marked("target"):
            answer = self._call("look" if current.look else "say", message)
            if answer["moved"]:
                self._current = None
                raise Moved("The target was changed by somebody else in between.", "The same step is tried again.")
            if answer["error"] is not None:
                current.failed = True
                raise server_error(answer["error"])
        current.digests += answer["digests"]
        return cast("list[Mapping[str, Any]]", answer["answers"])

    @staticmethod
    def _forget_explained(current: _Transaction) -> None:
        """A plan has no effect, and what it costs differs the next time."""
        if current.said and current.said[-1].text.startswith(_EXPLAIN):
            del current.said[-1], current.digests[-1]


def _parts(asked: Sequence[Said]) -> Iterator[list[Said]]:
    """Messages of these, at least one: a digest is of all answers before it, so a plan comes last in its own."""
    part: list[Said] = []
    for one in asked:
        part.append(one)
        if one.text.startswith(_EXPLAIN):
            yield part
            part = []
    if part or not asked:
        yield part
