"""Money is added up twice, by the servers and row by row; whatever is wrong with it, both or either say so."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.catalog.models import Money
from hybrid_sync.verify import ledger, money
from hybrid_sync.verify.money import Amounts, TwoWays
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

TOTAL = Money(column="total", currency="currency", headline=True)


def rows(values: str) -> Amounts:
    relation = sql.SQL("(values {}) as v(amount, currency, status)").format(sql.SQL(values))  # type: ignore[arg-type]
    names = [sql.Identifier(name) for name in ("amount", "currency", "status")]
    return Amounts(sql.SQL("{}::numeric").format(names[0]), names[1], names[2], relation, sql.SQL("true"))


def both(dsn: str, values: str) -> TwoWays:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return TwoWays(money.sums(connection, rows(values)), ledger.stream(connection, rows(values)))


def test_both_ways_agree_to_the_last_digit_per_currency_and_status(legacy_db: str) -> None:
    found = both(
        legacy_db,
        "('0.1', 'USD', 'paid'), ('0.2', 'USD', 'paid'), ('90071992547409.93', 'USD', 'open'), ('-5', 'JPY', null),"
        " ('1e-30', 'JPY', null), (null, 'JPY', null), ('7', null, E'tab\\t\\\\N')",
    )
    assert found.by_stream == found.by_server
    assert found.by_stream == {
        ("USD", "paid"): (Decimal("0.3"), 2), ("USD", "open"): (Decimal("90071992547409.93"), 1),
        ("JPY", None): (Decimal("-4.999999999999999999999999999999"), 2), ("?", "tab\t\\N"): (Decimal(7), 1),
    }  # fmt: skip


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_equal(legacy_db: str, value: str) -> None:
    bad = both(legacy_db, f"('1', 'USD', null), ('{value}', 'USD', null)")
    assert [line.equal for line in money.lines(TOTAL, bad, bad)] == [False]


def test_the_two_ways_must_agree_with_each_other_not_only_the_servers() -> None:
    right = {("USD", None): (Decimal("10.00"), 2)}
    wrong = {("USD", None): (Decimal("10.01"), 2)}
    assert [line.equal for line in money.lines(TOTAL, TwoWays(right, right), TwoWays(right, right))] == [True]
    for ours, theirs in (
        (TwoWays(right, wrong), TwoWays(right, right)),
        (TwoWays(right, right), TwoWays(right, wrong)),
        (TwoWays(right, {}), TwoWays(right, right)),
        (TwoWays(right, wrong), TwoWays(right, wrong)),
    ):
        assert [line.equal for line in money.lines(TOTAL, ours, theirs)] == [False]


@pytest.mark.parametrize(
    "change",
    [
        "total = total + 0.01", "total = -total", "total = 'NaN'", "currency = 'EUR'", "currency = null",
    ],
)  # fmt: skip
def test_whatever_is_wrong_with_money_fails_the_entity_and_keeps_its_fence(
    world: EngineWorld, target: Query, change: str
) -> None:
    run(world, "first")
    target(f"update invoices set {change} where legacy_id = 1")
    before = target("select version from hybrid_sync.fence where entity = 'invoices'")
    done = run(world, "second", entities=("invoices",))
    assert not done.verdicts["invoices"].conserved
    assert target("select version from hybrid_sync.fence where entity = 'invoices'") == before
    assert target("select status from hybrid_sync.run_entity where run_id = 'second'") == [("incomplete",)]
