"""Quantities priced: what was or will be used, item by item, and the dollars for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from hybrid_sync.cost.prices import PRICES, Item
from hybrid_sync.dataclass import dataclass

Usage = Mapping[Item, float]
"""How much of what; an item that is absent was not used."""


@dataclass(frozen=True)
class Line:
    """One item of a bill."""

    item: Item
    quantity: Decimal
    dollars: Decimal


def bill(usage: Usage) -> tuple[Line, ...]:
    """Every item used, in the order of the price table."""
    amounts = {item: Decimal(str(usage.get(item, 0))) for item in PRICES}
    return tuple(Line(item, amounts[item], price.of(amounts[item])) for item, price in PRICES.items() if amounts[item])


def dollars(usage: Usage) -> Decimal:
    """All of it."""
    return sum((line.dollars for line in bill(usage)), Decimal(0))


def together(usages: Iterable[Usage]) -> dict[Item, float]:
    """The sum, item by item."""
    added: dict[Item, float] = {}
    for usage in usages:
        for item, quantity in usage.items():
            added[item] = added.get(item, 0) + quantity
    return added


def times(usage: Usage, number: float) -> dict[Item, float]:
    """The usage, `number` times."""
    return {item: quantity * number for item, quantity in usage.items()}
