"""Amounts are exact, and each currency is written with its own minor unit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from hybrid_sync.recorded.part import total
from hybrid_sync.report.money import decimals, in_words
from hybrid_sync.report.render import percent
from tests.properties import given, st

AMOUNTS = st.decimals(min_value=-(10**30), max_value=10**30, places=4)


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("4190000", "USD", "USD 4,190,000.00"),
        ("1200.00", "JPY", "JPY 1,200"),
        ("1200.5", "JPY", "JPY 1,200.5"),
        ("0.001", "USD", "USD 0.001"),
        ("-3.10", "INR", "INR -3.10"),
        ("1", "KWD", "KWD 1.000"),
        ("0", "THB", "THB 0.00"),
        ("1E+3", "USD", "USD 1,000.00"),
        ("NaN", "USD", "USD NaN"),
    ],
)
def test_an_amount_is_written_with_its_currencys_decimals(amount: str, currency: str, words: str) -> None:
    assert in_words(Decimal(amount), currency) == words


@given(AMOUNTS, st.sampled_from(["USD", "JPY", "KWD"]))
def test_no_digit_is_rounded_away(amount: Decimal, currency: str) -> None:
    shown = in_words(amount, currency).removeprefix(f"{currency} ").replace(",", "")

    assert Fraction(shown) == Fraction(amount)
    assert len(shown.partition(".")[2]) >= decimals(currency)


@given(st.lists(AMOUNTS))
def test_a_total_is_exact_in_any_order(amounts: list[Decimal]) -> None:
    assert Fraction(total(amounts)) == sum(map(Fraction, amounts))
    assert total(reversed(amounts)) == total(amounts)


def test_a_total_with_nan_is_nan() -> None:
    assert total([Decimal(1), Decimal("NaN")]).is_nan()


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100.00 %"), (0.999999, "99.99 %"), (0.0, "0.00 %"), (0.000001, "< 0.01 %"), (None, "–")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float | None, words: str) -> None:
    assert percent(share) == words
