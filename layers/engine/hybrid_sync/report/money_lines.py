"""Money in a report: sums per column, currency and status, as both servers made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from hybrid_sync.report.checks import Told
from hybrid_sync.report.money import total
from hybrid_sync.report.part import Amount


class MoneyLine(Told):
    """The sum of one money column in one currency (and status): what legacy has, by where its rows are, and the target.

    Releases before knew only `legacy`, `target`, `rows` and `equal`, of the rows that both had.
    """

    column: str
    currency: str
    status: str | None = None
    legacy: Amount
    current: Amount = Decimal(0)
    stale: Amount = Decimal(0)
    absent: Amount = Decimal(0)
    excluded: Amount = Decimal(0)
    target: Amount
    missing: Amount = Decimal(0)
    """Legacy without what is excluded, less what the target holds."""
    rows: int
    stale_rows: int = 0
    absent_rows: int = 0
    excluded_rows: int = 0
    equal: bool
    """The current rows add up to the same on both servers, both ways."""
    agrees: bool = True
    """Equal, and nothing is stale or absent."""


_AMOUNTS = ("legacy", "current", "stale", "absent", "excluded", "target", "missing")
_ROWS = ("rows", "stale_rows", "absent_rows", "excluded_rows")


def over_statuses(lines: Iterable[MoneyLine]) -> tuple[MoneyLine, ...]:
    """One line per column and currency: columns in the order in which they come; equal where every status is."""
    grouped: dict[tuple[str, str], list[MoneyLine]] = defaultdict(list)
    places: dict[str, int] = {}
    for line in lines:
        grouped[line.column, line.currency].append(line)
        places.setdefault(line.column, len(places))
    return tuple(
        MoneyLine(
            column=column,
            currency=currency,
            equal=all(line.equal for line in group),
            agrees=all(line.agrees for line in group),
            **{name: total(getattr(line, name) for line in group) for name in _AMOUNTS},
            **{name: sum(getattr(line, name) for line in group) for name in _ROWS},
        )
        for (column, currency), group in sorted(grouped.items(), key=lambda item: (places[item[0][0]], item[0][1]))
    )
