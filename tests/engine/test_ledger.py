"""Money is added up twice, by the servers and row by row; whatever is wrong with it, both or either say so."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from hybrid_sync.catalog.models import Money
from hybrid_sync.compare import ledger, money
from hybrid_sync.compare.amounts import Amounts, Tally
from hybrid_sync.compare.money import TwoWays
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run

TOTAL = Money(column="total", currency="currency", headline=True)


def rows(values: str) -> Amounts:
    relation = sql.SQL("(values {}) as v(amount, currency, status)").format(sql.SQL(values))  # type: ignore[arg-type]
    names = [sql.Identifier(name) for name in ("amount", "currency", "status")]
    place = sql.SQL("case when amount = '7' then 'stale' else 'current' end")
    return Amounts(sql.SQL("{}::numeric").format(names[0]), names[1], names[2], place, relation, sql.SQL("true"))


def both(dsn: str, values: str) -> TwoWays:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return TwoWays(money.sums(connection, rows(values)), ledger.stream(connection, rows(values)))


def test_both_ways_agree_to_the_last_digit_per_currency_status_and_place(legacy_db: str) -> None:
    found = both(
        legacy_db,
        "('0.1', 'USD', 'paid'), ('0.2', 'USD', 'paid'), ('90071992547409.93', 'USD', 'open'), ('-5', 'JPY', null),"
        " ('1e-30', 'JPY', null), (null, 'JPY', null), ('7', null, E'tab\\t\\\\N')",
    )
    assert found.by_stream == found.by_server
    assert found.by_stream == {
        ("USD", "paid", "current"): Tally(Decimal("0.3"), 2),
        ("USD", "open", "current"): Tally(Decimal("90071992547409.93"), 1),
        ("JPY", None, "current"): Tally(Decimal("-4.999999999999999999999999999999"), 3, 1),
        ("?", "tab\t\\N", "stale"): Tally(Decimal(7), 1),
    }


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_equal_and_breaks_no_sum(legacy_db: str, value: str) -> None:
    bad = both(legacy_db, f"('1', 'USD', null), ('{value}', 'USD', null)")
    assert bad.by_stream == bad.by_server == {("USD", None, "current"): Tally(Decimal(1), 2, 0, 1)}
    assert [line.equal for line in money.lines(TOTAL, bad, bad)] == [False]


def test_the_largest_and_the_smallest_numbers_are_added_up_without_rounding(legacy_db: str) -> None:
    found = both(legacy_db, "('1e1000', 'USD', null), ('1e-1000', 'USD', null)")
    assert found.by_stream == found.by_server


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
