"""Work that asks in rounds: one work alone, a question at a time; or many together, each round of all of them in one
message, and what they ask alike in one statement."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import sql

from hybrid_sync.dataclass import dataclass
from hybrid_sync.session import Answer, Question, Row, Trip, answer, together

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_TOGETHER = sql.SQL(
    "select given.n, of_it.* from (values ({lines})) as given (n, {names}) cross join lateral ({of_each}) as of_it"
)
Rounds = Generator[list[Question[Any]], list[Any], T]
"""Work that asks questions round by round; a round's answers decide what the next one asks."""


@dataclass(frozen=True)
class Alike(Question[T]):
    """A question that others ask in the same words of other things: a server understands and plans it once for all.

    Its rows come in the statement's own order, whether it is asked alone or with others.
    """

    text: LiteralString = ""
    types: tuple[LiteralString, ...] = ()
    """What each of the parameters is to PostgreSQL."""
    values: Sequence[Any] = ()
    rows: Callable[[list[Row]], T] | None = None


def alike(
    text: LiteralString, given: Sequence[tuple[LiteralString, Any]], rows: Callable[[list[Row]], T],
    refused: Callable[[psycopg.Error], Exception] | None = None,
) -> Alike[T]:  # fmt: skip
    """A SELECT with `%s` for each of the values, which are given with their types; `rows` says what it answers."""
    types, values = tuple(kind for kind, _ in given), [value for _, value in given]
    return Alike(text, values, lambda found: rows(found.fetchall()), refused, text, types, values, rows)


def alone(connection: psycopg.Connection[Row], work: Rounds[T]) -> T:
    """One work, a question at a time: an error is that of its question."""
    questions = next(work)
    try:
        while True:
            questions = work.send([answer(connection, question) for question in questions])
    except StopIteration as end:
        found: T = end.value
        return found


def abreast(connection: psycopg.Connection[Row], works: Mapping[K, Rounds[T]]) -> dict[K, T]:
    """Run several works together: the questions of one round of all of them travel in one message.

    An error does not say which work it is of; to find out, run each alone.
    """
    done: dict[K, T] = {}
    asked = {name: next(work) for name, work in works.items()}
    while asked:
        with together(connection) as trip:
            answers = [*_asked(trip, [question for some in asked.values() for question in some])]
        found = iter([one() for one in answers])
        for name, values in {name: [next(found) for _ in some] for name, some in asked.items()}.items():
            try:
                asked[name] = works[name].send(values)
            except StopIteration as end:
                del asked[name]
                done[name] = end.value
    return done


def _asked(trip: Trip, questions: Sequence[Question[Any]]) -> Iterator[Callable[[], Any]]:
    """Ask them, those that are alike as one; what says the answer of each, once the trip is made."""
    groups: dict[str, list[Alike[Any]]] = {}
    for question in questions:
        if isinstance(question, Alike):
            groups.setdefault(question.text, []).append(question)
    shared = {text: trip.ask(_of_all(group)) for text, group in groups.items() if len(group) > 1}
    places = dict.fromkeys(shared, 0)
    for question in questions:
        if isinstance(question, Alike) and question.text in shared:
            place, places[question.text] = places[question.text], places[question.text] + 1
            yield _share(question, shared[question.text], place)
        else:
            yield _value(trip.ask(question))


def _value(one: Answer[T]) -> Callable[[], T]:
    return lambda: one.value


def _share(question: Alike[T], of_all: Answer[dict[int, list[Row]]], place: int) -> Callable[[], T]:
    rows = question.rows
    assert rows is not None, "`alike` makes it"
    return lambda: rows(of_all.value.get(place, []))


def _of_all(group: Sequence[Alike[Any]]) -> Question[dict[int, list[Row]]]:
    """One statement for all of them; their rows by place.  What is LATERAL is read once for each, in its own order."""
    types = group[0].types
    text = group[0].text
    for i in range(len(types)):
        text = text.replace("%s", f"given.p{i}", 1)
    line = ", ".join(f"%s::{kind}" for kind in ("int", *types))
    query = _TOGETHER.format(
        lines=sql.SQL("), (".join([line] * len(group))),
        names=sql.SQL(", ".join(f"p{i}" for i in range(len(types)))), of_each=sql.SQL(text),
    )  # fmt: skip
    values = [value for n, question in enumerate(group) for value in (n, *question.values)]
    return Question(query, values, _by_place)


def _by_place(found: psycopg.Cursor[Row]) -> dict[int, list[Row]]:
    rows: dict[int, list[Row]] = {}
    for place, *row in found.fetchall():
        rows.setdefault(place, []).append(tuple(row))
    return rows
