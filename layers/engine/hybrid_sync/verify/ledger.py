"""The second computation of money: every amount streamed as text and added up here, in fixed-point decimals.

It shares nothing with the servers' sums but the rows: no aggregate of PostgreSQL, no driver's number type, no float.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation

from psycopg import sql

from hybrid_sync.postgres import Connection
from hybrid_sync.verify.money import Amounts, Sums

# Far more digits than numeric columns of money have; a sum that would need rounding is an error, not a sum.
_EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation])


def stream(connection: Connection, rows: Amounts) -> Sums:
    """Sums per currency and status, row by row and in bounded memory; NaN and infinity stay what they are."""
    query = sql.SQL("copy (select {}, ({})::text, ({})::text from {} where {}) to stdout").format(
        rows.currency_text, rows.status, rows.amount, rows.relations, rows.where
    )
    sums: Sums = {}
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for currency, status, amount in copy.rows():
            total, count = sums.get((currency, status), (Decimal(0), 0))
            sums[currency, status] = (total, count) if amount is None else (_add(total, Decimal(amount)), count + 1)
    return sums


def _add(total: Decimal, amount: Decimal) -> Decimal:
    """Once a sum is no number it stays so, infinity minus infinity included."""
    if total.is_finite() and amount.is_finite():
        return _EXACT.add(total, amount)
    return Decimal("NaN")
