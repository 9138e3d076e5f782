"""Work that asks in rounds: one work alone, a question at a time; or many together, each round of all of them in one
message."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping
from typing import Any, TypeVar

import psycopg

from hybrid_sync.session import Question, Row, answer, together

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

Rounds = Generator[list[Question[Any]], list[Any], T]
"""Work that asks questions round by round; a round's answers decide what the next one asks."""


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
            answers = {name: [trip.ask(question) for question in some] for name, some in asked.items()}
        asked = {}
        for name, found in answers.items():
            try:
                asked[name] = works[name].send([one.value for one in found])
            except StopIteration as end:
                done[name] = end.value
    return done
