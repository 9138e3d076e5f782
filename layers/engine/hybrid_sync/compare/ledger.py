"""The second computation of money: every amount streamed as text and added up here, in fixed-point decimals.

It shares nothing with the servers' sums but the rows: no aggregate of PostgreSQL, no driver's number type, no float.
"""

from __future__ import annotations

from decimal import Decimal

from psycopg import sql

from hybrid_sync.compare.amounts import EXACT, Amounts, Group, Sums, Tally
from hybrid_sync.postgres import Connection


class _Account:
    """The running sum of one group."""

    def __init__(self) -> None:
        self.amount = Decimal(0)
        self.rows = self.empty = self.odd = 0

    def enter(self, text: str | None) -> None:
        self.rows += 1
        if text is None:
            self.empty += 1
            return
        amount = Decimal(text)
        if amount.is_finite():
            self.amount = EXACT.add(self.amount, amount)
        else:
            self.odd += 1


class Ledger:
    """The accounts of one money column, entered row by row and in bounded memory."""

    def __init__(self) -> None:
        self._accounts: dict[Group, _Account] = {}

    def enter(self, group: Group, amount: str | None) -> None:
        """One row's amount, as text."""
        account = self._accounts.get(group)
        if account is None:
            account = self._accounts[group] = _Account()
        account.enter(amount)

    def sums(self) -> Sums:
        """What each group adds up to."""
        return {group: Tally(a.amount, a.rows, a.empty, a.odd) for group, a in self._accounts.items()}


def stream(connection: Connection, rows: Amounts) -> Sums:
    """Sums per currency, status and place."""
    query = sql.SQL("copy (select {}, ({})::text, {}, ({})::text from {} where {}) to stdout").format(
        rows.currency_text, rows.status, rows.place, rows.amount, rows.relations, rows.where
    )
    ledger = Ledger()
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for currency, status, place, amount in copy.rows():
            ledger.enter((currency, status, place), amount)
    return ledger.sums()
