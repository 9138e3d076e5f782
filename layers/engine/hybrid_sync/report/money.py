"""Amounts for people: exact decimals, each currency with its own minor unit, never a float."""

from __future__ import annotations

from decimal import Decimal

# ISO 4217, list one: the currencies whose minor unit is not 1/100.
_DECIMALS = {
    **dict.fromkeys(
        (
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
            "XAF", "XOF", "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip


NO_CURRENCY = "?"
"""What verification writes where a row's currency is empty."""


def decimals(currency: str) -> int:
    """How many decimals the currency's minor unit has: USD 2, JPY 0, KWD 3."""
    return _DECIMALS.get(currency, 2)


def in_words(amount: Decimal, currency: str) -> str:
    """`USD 4,190,000.00`, `JPY 1,200`; digits beyond the minor unit are shown, never rounded away."""
    number = f"{amount:,.{max(_places(amount), decimals(currency))}f}" if amount.is_finite() else str(amount)
    return f"{number} without currency" if currency == NO_CURRENCY else f"{currency} {number}"


def difference(missing: Decimal, currency: str) -> str:
    """`USD 10.00 missing`, or `USD 10.00 too much`, of what the target lacks: less than nothing where it has more."""
    word = "too much" if missing < 0 else "missing"
    return f"{in_words(missing.copy_abs(), currency)} {word}"


def _places(amount: Decimal) -> int:
    """How many decimals the amount needs; trailing zeros do not count."""
    _, digits, exponent = amount.as_tuple()
    places = -int(exponent)
    for digit in reversed(digits):
        if digit or places <= 0:
            break
        places -= 1
    return max(places, 0)
