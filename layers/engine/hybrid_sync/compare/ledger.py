"""The second computation of money: every amount streamed as text and added up here, in fixed-point decimals.

It shares nothing with the servers' sums but the rows: no aggregate of PostgreSQL, no driver's number type, no float.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext
from itertools import islice

from psycopg import sql

from hybrid_sync.compare.amounts import EXACT, Amounts, Group, Sums, Tally
from hybrid_sync.legacy.rows import sent
from hybrid_sync.postgres import Connection

Texts = tuple[str | None, ...]
_AT_ONCE = 10_000
"""Rows that are held before they are added up."""
_LENGTH, _NULL = struct.Struct(">i"), -1
_SHORT = b"\0\0\0"
"""How the length of a text begins that is shorter than 256 bytes, and not NULL."""


class _Account:
    """The running sum of one group."""

    def __init__(self) -> None:
        self.amount = Decimal(0)
        self.rows = self.empty = self.odd = 0

    def enter(self, texts: Sequence[str | None]) -> None:
        given = [text for text in texts if text is not None]
        self.rows += len(texts)
        self.empty += len(texts) - len(given)
        amounts = list(map(Decimal, given))
        numbers = [amount for amount in amounts if amount.is_finite()]
        self.odd += len(amounts) - len(numbers)
        with localcontext(EXACT):
            self.amount = sum(numbers, self.amount)


class Ledger:
    """The accounts of one money column, entered row by row and in bounded memory."""

    def __init__(self) -> None:
        self._accounts: dict[Group, _Account] = {}

    def enter(self, group: Group, amounts: Sequence[str | None]) -> None:
        """The amounts of rows of one group, as texts."""
        account = self._accounts.get(group)
        if account is None:
            account = self._accounts[group] = _Account()
        account.enter(amounts)

    def sums(self) -> Sums:
        """What each group adds up to."""
        return {group: Tally(a.amount, a.rows, a.empty, a.odd) for group, a in self._accounts.items()}


def stream(connection: Connection, rows: Amounts) -> Sums:
    """Sums per currency, status and place."""
    query = sql.SQL("select {}, {}, ({})::text, ({})::text from {} where {}").format(
        rows.currency_text, rows.status_text, rows.place, rows.amount, rows.relations, rows.where
    )
    ledger = Ledger()
    for (currency, status, place), amounts in grouped_rows(connection, query, 4):
        ledger.enter((currency or "", status, place or ""), amounts)
    return ledger.sums()


def grouped_rows(connection: Connection, query: sql.Composed, width: int) -> Iterator[tuple[Texts, list[str | None]]]:
    """The query's rows of `width` texts, by all columns but the last: these, and the last ones of some such rows."""
    names = [sql.Identifier(f"c{i}") for i in range(width)]
    # The amount first: all that follows it is what rows have in common, and is looked at once for many of them.
    statement = sql.SQL("copy (select {} from ({}) l ({})) to stdout (format binary)").format(
        sql.SQL(", ").join([names[-1], *names[:-1]]), query, sql.SQL(", ").join(names)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for rest, amounts in _gathered(sent(copy)):
            yield _texts(rest), [None if one is None else one.decode() for one in amounts]


def _gathered(rows: Iterable[bytes]) -> Iterator[tuple[bytes, list[bytes | None]]]:
    coming = iter(rows)
    while some := list(islice(coming, _AT_ONCE)):
        held = defaultdict[bytes, list[bytes | None]](list)
        for row in some:
            if row[2:5] == _SHORT:  # nearly all of them, in half the steps
                end = 6 + row[5]
                held[row[end:]].append(row[6:end])
                continue
            (size,) = _LENGTH.unpack_from(row, 2)
            end = 6 + max(size, 0)
            held[row[end:]].append(None if size == _NULL else row[6:end])
        yield from held.items()


def _texts(fields: bytes) -> Texts:
    found: list[str | None] = []
    at = 0
    while at < len(fields):
        (size,) = _LENGTH.unpack_from(fields, at)
        at += 4
        found.append(None if size == _NULL else fields[at : at + size].decode())
        at += max(size, 0)
    return tuple(found)
