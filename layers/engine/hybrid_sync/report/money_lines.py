"""Money in a report: sums per column, currency and status, as both servers made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hybrid_sync.report.money import total
from hybrid_sync.report.part import Amount, Part


class MoneyLine(Part):
    """The sum of one money column in one currency (and status), computed on both servers."""

    column: str
    currency: str
    status: str | None = None
    legacy: Amount
    target: Amount
    equal: bool
    rows: int


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
            legacy=total(line.legacy for line in group),
            target=total(line.target for line in group),
            equal=all(line.equal for line in group),
            rows=sum(line.rows for line in group),
        )
        for (column, currency), group in sorted(grouped.items(), key=lambda item: (places[item[0][0]], item[0][1]))
    )
