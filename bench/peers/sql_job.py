"""Sessions side by side, each with statements one after the other; where asked to be `equal`, their answers must be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from bench.peers.begin import asked, done, go


def main() -> None:
    order = asked()
    go()
    with ThreadPoolExecutor(len(order["sessions"])) as together:
        answers = list(together.map(run, order["sessions"]))
    if order.get("equal") and any(answer != answers[0] for answer in answers):
        raise SystemExit("Both sides do not hold the same, so the time of comparing them means nothing.")
    done()


def run(session: dict[str, Any]) -> list[object]:
    """The rows of each statement that has some; a statement is a transaction, unless it says otherwise."""
    answers: list[object] = []
    with psycopg.connect(session["dsn"], autocommit=True) as connection:
        for statement in session["statements"]:
            cursor = connection.execute(statement.encode())
            if cursor.description is not None:
                answers.append(cursor.fetchall())
    return answers


if __name__ == "__main__":
    main()
