"""One wait for many statements: a transaction opens with its first statement, and questions travel together.

A wait costs a round trip, which is 20 ms between a function and a database elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, LiteralString, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from hybrid_sync.dataclass import dataclass

Row = tuple[Any, ...]
T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Any] | None
Query = sql.SQL | sql.Composed | LiteralString
Statement = tuple[Any, Parameters]


_First = tuple[bytes, Callable[[psycopg.Cursor[Row]], None]]


class Session(psycopg.Connection[Row]):
    """A connection on which what opens a transaction, settings and savepoints travel with the next statement."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ending: Sequence[bytes] = ()
        self._opening: Sequence[bytes] = ()
        self._ahead: list[bytes] = []
        self._first: _First | None = None
        self._asked: list[_First] = []
        self._savepoints = itertools.count(1)

    def open_with_next(self, statements: Sequence[bytes]) -> None:
        """Send these, which open a transaction, just before the next statement, in the same message."""
        self._opening = statements

    def begin_with(self, question: Question[None] | None) -> None:
        """Ask this where each transaction begins from here on, in the same message: its meaning may refuse to go on."""
        self._first = None if question is None else (bound(self, question.query, question.parameters), question.meaning)

    def end_with_next(self) -> None:
        """Roll back just before the next statement, which is to follow at once."""
        if not self.forget_unsent():
            self._ending = (b"rollback",)

    def send_with_next(self, statement: Any) -> None:
        """Let a statement travel with the next one; only what follows in the transaction may need it."""
        self._ahead.append(bound(self, statement, None))

    def ask_with_next(self, question: Question[None]) -> None:
        """Ask this in the same message as the next statement, before it: its meaning may refuse to go on."""
        asked = bound(self, question.query, question.parameters)
        self._ahead.append(asked)
        self._asked.append((asked, question.meaning))

    def forget_unsent(self) -> bool:
        """The transaction ends before its first statement; False when it has begun."""
        unsent = bool(self._opening)
        self._opening, self._ahead, self._asked = (), [], []
        return unsent

    def _take_unsent(self) -> tuple[bytes, ...]:
        first = (self._first[0],) if self._first and self._opening else ()
        unsent = (*self._ending, *self._opening, *first, *self._ahead)
        self._ending, self._opening, self._ahead = (), (), []
        return unsent

    @property
    def is_open(self) -> bool:
        """A transaction has begun, or begins with the next statement."""
        if self._opening or self._ending:
            return bool(self._opening)
        return self.info.transaction_status != TransactionStatus.IDLE

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Row]:
        """As psycopg does, with what is to travel before it."""
        opens, unsent = bool(self._opening), self._take_unsent()
        if not unsent:
            return super().execute(query if params is None else doubled(query), params, **options)
        cursor = self._send(b"; ".join((*unsent, bound(self, query, params))), opens=opens, **options)
        self._step_over(unsent, cursor)
        return cursor

    def _step_over(self, unsent: Sequence[bytes], cursor: psycopg.Cursor[Row]) -> None:
        """Pass over the results of what travelled before, but those of what was asked there."""
        asked, self._asked = [*self._asked, *([self._first] if self._first else [])], []
        for statement in unsent:
            for question, meaning in asked:
                if statement is question:
                    meaning(cursor)
            cursor.nextset()

    def send_all(self, statements: Sequence[Statement]) -> psycopg.Cursor[Row]:
        """Several in one message; the cursor stands at the first one's result."""
        return self.execute(joined(self, statements))

    def end(self) -> None:
        """End the session for good, also where a pool would keep it."""
        super().close()

    @property
    def address(self) -> tuple[bytes, ...]:
        """Which database this is, and as which role."""
        there = self.pgconn
        return there.host, there.port, there.db, there.user

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """A cursor in the transaction that is to be open: for COPY, which travels alone."""
        opens = bool(self._opening)
        if unsent := self._take_unsent():
            self._step_over(unsent, self._send(b"; ".join(unsent), opens=opens))
        return super().cursor(*arguments, **options)

    def _send(self, message: bytes, *, opens: bool, **options: Any) -> psycopg.Cursor[Row]:
        """`opens`: a transaction begins with the message."""
        return super().execute(message, **options)

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """A savepoint in the transaction that is open; it is set and released with the statements around it."""
        if not self.is_open:
            with super().transaction(*arguments, **options) as begun:
                yield begun
            return
        name = b"hybrid_sync_%d" % next(self._savepoints)
        self.send_with_next(b"savepoint " + name)
        try:
            yield None
        except BaseException:  # an interrupt too: no savepoint may be left open
            if self.info.transaction_status == TransactionStatus.INERROR:
                self._take_unsent()  # what waits was for statements that do not come any more
            if not self.closed:
                with suppress(psycopg.Error):  # what went wrong first is what is raised
                    self.execute(b"rollback to savepoint %b; release savepoint %b" % (name, name))
            raise
        self.send_with_next(b"release savepoint " + name)


def bound(connection: psycopg.Connection[Any], query: Any, parameters: Parameters) -> bytes:
    """The statement with its parameters as literals: several in one message cannot have parameters of their own."""
    if parameters is not None:
        return psycopg.ClientCursor(connection).mogrify(doubled(query), parameters).encode()
    if isinstance(query, sql.Composable):
        return query.as_bytes(connection)
    return query if isinstance(query, bytes) else query.encode()


def joined(connection: psycopg.Connection[Any], statements: Sequence[Statement]) -> bytes:
    """The statements, with their parameters bound, as the text of one message."""
    return b"; ".join(bound(connection, *statement) for statement in statements)


def send_all(connection: psycopg.Connection[Row], statements: Sequence[Statement]) -> psycopg.Cursor[Row]:
    """Several in one message; the cursor stands at the first one's result."""
    if isinstance(connection, Session):
        return connection.send_all(statements)
    return connection.execute(joined(connection, statements))


def is_open(connection: psycopg.Connection[Any]) -> bool:
    """Whether a transaction has begun, or begins with the next statement."""
    if isinstance(connection, Session):
        return connection.is_open
    return connection.info.transaction_status != TransactionStatus.IDLE


def send_with_next(connection: psycopg.Connection[Any], statement: Any) -> None:
    """Run a statement that only what follows in the transaction needs; it travels with that."""
    if isinstance(connection, Session):
        connection.send_with_next(statement)
    else:
        connection.execute(statement)


@dataclass(frozen=True)
class Question(Generic[T]):
    """One statement, and what its result means.  `ask_…` functions only make one; `answer` or a Trip sends it."""

    query: Query
    parameters: Parameters
    meaning: Callable[[psycopg.Cursor[Row]], T]
    refused: Callable[[psycopg.Error], Exception] | None = None
    """What it means that the server takes this statement for wrong."""


def dicts(query: Query, parameters: Parameters) -> Question[list[dict[str, Any]]]:
    """A statement whose rows are dicts by the names of its columns."""

    def named(found: psycopg.Cursor[Row]) -> list[dict[str, Any]]:
        names = [column.name for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    return Question(query, parameters, named)


def answer(connection: psycopg.Connection[Row], question: Question[T]) -> T:
    """Ask one question in the caller's transaction."""
    try:
        return question.meaning(connection.execute(question.query, question.parameters))
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        if question.refused is None:
            raise
        raise question.refused(error) from None


class Answer(Generic[T]):
    """What a question among others is answered; there once all of them are."""

    def __init__(self, question: Question[T]) -> None:
        self.question = question

    def take(self, cursor: psycopg.Cursor[Row]) -> None:
        """Read the result of the question; it is `value` from then on."""
        self.value = self.question.meaning(cursor)


class Trip:
    """Statements on their way to the server together."""

    def __init__(self) -> None:
        self.answers: list[Answer[Any]] = []

    def ask(self, question: Question[T]) -> Answer[T]:
        """Add a question to the trip; its answer has a value once the trip has been made."""
        answer = Answer(question)
        self.answers.append(answer)
        return answer

    def do(self, query: Query, parameters: Parameters = None) -> None:
        """Send a statement whose result is not needed."""
        self.ask(Question(query, parameters, lambda _: None))


@contextmanager
def together(connection: psycopg.Connection[Row], *, commits: bool = False, lets_go: bool = False) -> Iterator[Trip]:
    """Send all that is asked within in one message, in order, and wait for it at the end; an error is raised there.

    With `commits` the transaction ends with them: the server skips a COMMIT behind a statement that has failed.  It
    `lets_go` where nothing was written: then a message that a dead session has lost can be sent again.
    """
    trip = Trip()
    yield trip
    statements: list[Statement] = [(a.question.query, a.question.parameters) for a in trip.answers]
    if commits or lets_go:
        statements.append((b"commit" if commits else b"rollback", None))
    if not statements:
        return
    cursor = send_all(connection, statements)
    for one in trip.answers:
        one.take(cursor)
        cursor.nextset()


def doubled(query: Any) -> Any:
    """The statement as it has to be written where it gets parameters; what is no composed SQL stays as it is.

    psycopg puts a name and a literal into a statement as they are, and takes every `%` in it for a parameter.
    """
    if isinstance(query, sql.Composed):
        return sql.Composed([doubled(part) for part in query])
    return _Doubled(query) if isinstance(query, sql.Identifier | sql.Literal) else query


class _Doubled(sql.Composable):
    """A name or a literal with its percent signs written twice."""

    def as_bytes(self, context: Any = None) -> bytes:
        return bytes(self._obj.as_bytes(context).replace(b"%", b"%%"))
