"""Money: sums per currency and status on both servers, over the same settled rows, exact to the last digit.

Numbers travel as text and are compared as Decimal; no float exists on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass
class TwoWays:
    """One side's sums, by the server and by the ledger's stream."""

    by_server: Sums = field(default_factory=dict)
    by_stream: Sums = field(default_factory=dict)

    def agree_on(self, group: tuple[str, str | None]) -> bool:
        """Whether both computations say the same of one currency and status."""
        return self.by_server.get(group, _NOTHING) == self.by_stream.get(group, _NOTHING)


_NOTHING = (Decimal(0), 0)


def lines(money: Money, ours: TwoWays, theirs: TwoWays) -> list[MoneyLine]:
    """Both sides together; equal means the same rows and sum by both ways, and a number (not NaN, not infinite)."""
    found: list[MoneyLine] = []
    groups = {g for side in (ours, theirs) for way in (side.by_server, side.by_stream) for g in way}
    for group in sorted(groups, key=lambda k: (k[0], k[1] or "")):
        currency, status = group
        legacy, legacy_rows = ours.by_server.get(group, _NOTHING)
        target, target_rows = theirs.by_server.get(group, _NOTHING)
        equal = legacy.is_finite() and target.is_finite() and legacy == target and legacy_rows == target_rows
        equal = equal and ours.agree_on(group) and theirs.agree_on(group)
        found.append(MoneyLine(money.column, currency, status, legacy, target, legacy_rows, equal))
    return found


@dataclass(frozen=True)
class Amounts:
    """The settled rows of one money column on one side: three expressions over them."""

    amount: sql.Composable
    currency: sql.Composable
    status: sql.Composable
    relations: sql.Composable
    where: sql.Composable

    @property
    def currency_text(self) -> sql.Composed:
        """A row without a currency counts under a name of its own."""
        return sql.SQL("coalesce(({})::text, '?')").format(self.currency)


def in_legacy(money: Money, scope: Scope, apart: list[Key]) -> Amounts:
    """The settled rows that are in the target too; `apart` are keys that one side alone has."""
    columns = scope.source.columns
    amount = sql.SQL("({})::numeric").format(expression(columns[money.column]))
    currency = sql.Literal(money.constant_currency) if money.currency is None else expression(columns[money.currency])
    status = sql.SQL("null") if money.status is None else expression(columns[money.status])
    left_out = [*scope.failed_absent, *scope.failed_present, *apart]
    settled = sql.SQL("{} and not {} and not {}").format(scope.in_legacy(), scope.plan.excluded_sql, scope.young)
    if left_out:
        settled = sql.SQL("{} and not ({})").format(settled, with_keys(scope.plan.key_exprs, left_out))
    return Amounts(amount, currency, status, scope.plan.relations, settled)


def in_target(money: Money, scope: Scope, apart: list[Key]) -> Amounts:
    """The same rows as the target stores them."""
    amount = sql.SQL("{}::numeric").format(sql.Identifier(money.column))
    currency = sql.Literal(money.constant_currency) if money.currency is None else sql.Identifier(money.currency)
    status = sql.SQL("null") if money.status is None else sql.Identifier(money.status)
    left_out = [*scope.failed_absent, *scope.failed_present, *scope.in_flight, *apart]
    settled = sql.SQL("{} and {}").format(scope.in_target(), scope.without(left_out))
    return Amounts(amount, currency, status, scope.relation, settled)


def sums(connection: Connection, rows: Amounts) -> Sums:
    """Summed by the server."""
    query = sql.SQL(
        "select {currency}, ({status})::text, coalesce(sum({amount}), 0)::text, count({amount})"
        " from {relations} where {where} group by 1, 2"
    ).format(
        currency=rows.currency_text, status=rows.status, amount=rows.amount, relations=rows.relations, where=rows.where
    )
    return {(str(row[0]), row[1]): (Decimal(row[2]), int(row[3])) for row in connection.execute(query).fetchall()}
