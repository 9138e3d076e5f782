"""Money: sums per currency and status on both servers, over the same settled rows, exact to the last digit.

Numbers travel as text and are compared as Decimal; no float exists on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from psycopg import sql

from hybrid_sync.catalog.columns import expression
from hybrid_sync.catalog.models import Money
from hybrid_sync.contracts import Key
from hybrid_sync.legacy.changes import with_keys
from hybrid_sync.postgres import Connection
from hybrid_sync.verify.scope import Scope

Sums = dict[tuple[str, str | None], tuple[Decimal, int]]
"""(currency, status) -> (sum, rows)."""


@dataclass(frozen=True)
class MoneyLine:
    """One money column in one currency and status, on both sides."""

    column: str
    currency: str
    status: str | None
    legacy: Decimal
    target: Decimal
    rows: int
    equal: bool

    def as_json(self) -> dict[str, object]:
        return {
            "column": self.column, "currency": self.currency, "status": self.status, "legacy": format(self.legacy, "f"),
            "target": format(self.target, "f"), "rows": self.rows, "equal": self.equal,
        }  # fmt: skip


def lines(money: Money, ours: Sums, theirs: Sums) -> list[MoneyLine]:
    """Both sides together; equal means the same rows, the same sum, and a number (not NaN, not infinite)."""
    zero = (Decimal(0), 0)
    found: list[MoneyLine] = []
    for currency, status in sorted(ours.keys() | theirs.keys(), key=lambda k: (k[0], k[1] or "")):
        legacy, legacy_rows = ours.get((currency, status), zero)
        target, target_rows = theirs.get((currency, status), zero)
        equal = legacy.is_finite() and target.is_finite() and legacy == target and legacy_rows == target_rows
        found.append(MoneyLine(money.column, currency, status, legacy, target, legacy_rows, equal))
    return found


def in_legacy(money: Money, scope: Scope, legacy: Connection, apart: list[Key]) -> Sums:
    """Sums over the settled rows that are in the target too; `apart` are keys that one side alone has."""
    columns = scope.source.columns
    amount = sql.SQL("({})::numeric").format(expression(columns[money.column]))
    currency = sql.Literal(money.constant_currency) if money.currency is None else expression(columns[money.currency])
    status = sql.SQL("null") if money.status is None else expression(columns[money.status])
    left_out = [*scope.failed_absent, *scope.failed_present, *apart]
    settled = sql.SQL("{} and not {} and not {}").format(scope.in_legacy(), scope.plan.excluded_sql, scope.young)
    if left_out:
        settled = sql.SQL("{} and not ({})").format(settled, with_keys(scope.plan.key_exprs, left_out))
    return _sums(legacy, amount, currency, status, scope.plan.relations, settled)


def in_target(money: Money, scope: Scope, target: Connection, apart: list[Key]) -> Sums:
    """The same rows as the target stores them."""
    amount = sql.SQL("{}::numeric").format(sql.Identifier(money.column))
    currency = sql.Literal(money.constant_currency) if money.currency is None else sql.Identifier(money.currency)
    status = sql.SQL("null") if money.status is None else sql.Identifier(money.status)
    left_out = [*scope.failed_absent, *scope.failed_present, *scope.in_flight, *apart]
    settled = sql.SQL("{} and {}").format(scope.in_target(), scope.without(left_out))
    return _sums(target, amount, currency, status, scope.relation, settled)


def _sums(
    connection: Connection, amount: sql.Composable, currency: sql.Composable, status: sql.Composable,
    relations: sql.Composable, where: sql.Composable,
) -> Sums:  # fmt: skip
    query = sql.SQL(
        "select coalesce(({currency})::text, '?'), ({status})::text, coalesce(sum({amount}), 0)::text, count({amount})"
        " from {relations} where {where} group by 1, 2"
    ).format(currency=currency, status=status, amount=amount, relations=relations, where=where)
    return {(str(row[0]), row[1]): (Decimal(row[2]), int(row[3])) for row in connection.execute(query).fetchall()}
