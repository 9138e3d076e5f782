"""Money is equal only when both servers and both computations say the same number."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hybrid_sync.catalog.models import Money
from hybrid_sync.verify.money import MoneyLine, Sums, TwoWays, lines

TOTAL = Money(column="total", constant_currency="USD")


def sums(amount: str, rows: int = 1) -> Sums:
    return {("USD", None): (Decimal(amount), rows)}


def side(server: str, stream: str | None = None) -> TwoWays:
    return TwoWays(sums(server), sums(stream or server))


def line(ours: TwoWays, theirs: TwoWays) -> MoneyLine:
    [only] = lines(TOTAL, ours, theirs)
    return only


def test_the_same_number_is_equal_however_many_decimals_it_is_written_with() -> None:
    assert line(side("10.50"), side("10.5")).equal


def test_a_cent_makes_a_difference() -> None:
    assert not line(side("10.50"), side("10.51")).equal


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_equal_not_even_to_itself(number: str) -> None:
    assert not line(side(number), side(number)).equal


@pytest.mark.parametrize("ours", [True, False])
def test_two_computations_that_disagree_on_one_side_are_not_equal(ours: bool) -> None:
    torn, whole = side("10.50", "10.49"), side("10.50")
    assert not (line(torn, whole) if ours else line(whole, torn)).equal


def test_the_same_sum_of_another_number_of_rows_is_not_equal() -> None:
    one, two = TwoWays(sums("5"), sums("5")), TwoWays(sums("5", 2), sums("5", 2))
    assert not line(one, two).equal


def test_an_amount_that_only_one_side_has_is_a_line_of_its_own() -> None:
    assert not line(side("5"), TwoWays()).equal
