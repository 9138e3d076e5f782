"""Money: what legacy has per currency and status, by where its rows are, and what the target has; to the last digit.

Numbers travel as text and are compared as Decimal; no float exists on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from decimal import Decimal

import psycopg
from psycopg import sql

from hybrid_sync.catalog.models import Money
from hybrid_sync.compare import ledger
from hybrid_sync.compare.amounts import EXACT, Amounts, Group, Sums, Tally, add
from hybrid_sync.compare.row_states import RowState
from hybrid_sync.compare.scope import Scope
from hybrid_sync.compare.unreadable import uncomputable_keys
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.postgres import Connection
from hybrid_sync.recorded.money import MoneyLine


@dataclass
class TwoWays:
    """One side's sums, by the server and by the ledger's stream."""

    by_server: Sums = field(default_factory=dict)
    by_stream: Sums = field(default_factory=dict)

    def take(self, connection: Connection, rows: Amounts) -> None:
        """Add the rows of one source, both ways."""
        self.add(sums(connection, rows), ledger.stream(connection, rows))

    def add(self, server: Sums, stream: Sums) -> None:
        """Add what both ways have found."""
        add(self.by_server, server)
        add(self.by_stream, stream)

    def of(self, currency: str, status: str | None, *places: RowState) -> Tally:
        """The server's sum of these places."""
        total = Tally()
        for place in places:
            total = total.plus(self.by_server.get((currency, status, place), Tally()))
        return total

    def agree_on(self, currency: str, status: str | None) -> bool:
        """Whether both computations say the same of one currency and status, place by place."""
        return all(
            self.by_server.get((currency, status, place), Tally())
            == self.by_stream.get((currency, status, place), Tally())
            for place in RowState
        )


def lines(money: Money, ours: TwoWays, theirs: TwoWays) -> list[MoneyLine]:
    """Both sides together, a line per currency and status."""
    groups: set[Group] = {g for side in (ours, theirs) for way in (side.by_server, side.by_stream) for g in way}
    pairs = {(currency, status) for currency, status, _ in groups}
    return [_line(money.column, *pair, ours, theirs) for pair in sorted(pairs, key=lambda p: (p[0], p[1] or ""))]


def _line(column: str, currency: str, status: str | None, ours: TwoWays, theirs: TwoWays) -> MoneyLine:
    pair = (currency, status)
    legacy, target = ours.of(*pair, *RowState), theirs.of(*pair, *RowState)
    current, stale, absent = (ours.of(*pair, place) for place in (RowState.current, RowState.stale, RowState.absent))
    excluded, moving, unexplained = (
        ours.of(*pair, place) for place in (RowState.excluded, RowState.in_flight, RowState.missing)
    )
    held, pending = theirs.of(*pair, RowState.stale), theirs.of(*pair, RowState.gone)
    arrived = theirs.of(*pair, RowState.current)
    equal = current == arrived and not current.odd and ours.agree_on(*pair) and theirs.agree_on(*pair)
    missing_rows = stale.rows + absent.rows + unexplained.rows + held.rows
    pending_rows = pending.rows - pending.empty  # a row without an amount is in no sum
    return MoneyLine(
        column=column, currency=currency, status=status, legacy=legacy.amount, current=current.amount,
        stale=stale.amount, absent=absent.amount, excluded=excluded.amount, in_flight=moving.amount,
        unexplained=unexplained.amount, target=target.amount, stale_in_target=held.amount,
        pending_deletes=pending.amount, missing=EXACT.subtract(legacy.minus(excluded), target.amount),
        rows=legacy.rows, current_rows=current.rows, stale_rows=stale.rows, absent_rows=absent.rows,
        excluded_rows=excluded.rows, in_flight_rows=moving.rows, unexplained_rows=unexplained.rows,
        pending_rows=pending_rows, not_numbers=legacy.odd, equal=equal,
        agrees=equal and missing_rows == 0 and pending_rows == 0,
    )  # fmt: skip


def add_up(
    money: Money, scope: Scope, gone: Sequence[Key], ours: tuple[TwoWays, Connection],
    theirs: tuple[TwoWays, Connection],
) -> None:  # fmt: skip
    """Add one source to both sides; `gone` are keys that the target alone has."""
    totals, target = theirs
    totals.take(target, in_target(money, scope, gone))
    totals, legacy = ours
    rows = in_legacy(money, scope)
    try:
        with legacy.transaction():  # a savepoint: the snapshot outlives a row that fails
            totals.take(legacy, rows)
    except psycopg.DataError:
        totals.take(legacy, _computable(rows, scope, legacy))


def _computable(rows: Amounts, scope: Scope, legacy: Connection) -> Amounts:
    """Without the amounts that legacy cannot compute: their rows have failed for it, or a rule excludes them.

    They count as rows without an amount, under the currency "?".
    """
    asked = sql.SQL("row({}, {}, {})").format(rows.currency_text, rows.status, rows.amount)
    unsettled = scope.keys_elsewhere_than(legacy, RowState.current)
    bad = list(uncomputable_keys(legacy, scope.plan, asked, unsettled))
    # A row without a key cannot be looked at alone, so its amount stays out as well.
    good = sql.SQL("({} and not {})").format(scope.plan.keyed, scope.is_among(bad))

    def guarded(expr: sql.Composable) -> sql.Composed:
        return sql.SQL("case when {} then {} end").format(good, expr)

    return Amounts(
        guarded(rows.amount), guarded(rows.currency_text), guarded(rows.status_text),
        rows.place, rows.relations, rows.where,
    )  # fmt: skip


def in_legacy(money: Money, scope: Scope) -> Amounts:
    """Every row of legacy, whether it was carried or not."""
    columns = scope.source.columns
    amount = scope.plan.amounts[money.column]
    currency = sql.Literal(money.constant_currency) if money.currency is None else columns[money.currency].value
    status = sql.SQL("null") if money.status is None else columns[money.status].value
    return Amounts(amount, currency, status, scope.place_in_legacy(), scope.plan.relations, scope.in_legacy())


def in_target(money: Money, scope: Scope, differing: Sequence[Key]) -> Amounts:
    """Every live row of the source as the target stores it."""
    amount = sql.SQL("{}::numeric").format(sql.Identifier(money.column))
    currency = sql.Literal(money.constant_currency) if money.currency is None else sql.Identifier(money.currency)
    status = sql.SQL("null") if money.status is None else sql.Identifier(money.status)
    return Amounts(amount, currency, status, scope.place_in_target(differing), scope.relation, scope.in_target())


def sums(connection: Connection, rows: Amounts) -> Sums:
    """One side's sums by currency, status and state of the row, computed by its server."""
    # A number minus itself is zero, but neither NaN nor an infinity is; PostgreSQL before 14 has no infinity to name.
    query = sql.SQL(
        "select c, s, p, coalesce(sum(a) filter (where a - a = 0), 0)::text, count(*), count(*) - count(a),"
        " count(a) filter (where a - a <> 0)"
        " from (select {currency} as c, {status} as s, {place} as p, {amount} as a"
        " from {relations} where {where} offset 0) r group by 1, 2, 3"
    ).format(
        currency=rows.currency_text, status=rows.status_text, place=rows.place, amount=rows.amount,
        relations=rows.relations, where=rows.where,
    )  # fmt: skip
    return {
        (str(currency), status, place): Tally(Decimal(amount), count, empty, odd)
        for currency, status, place, amount, count, empty, odd in connection.execute(query).fetchall()
    }
