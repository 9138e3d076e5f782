"""Money as verification records it: legacy = current + stale + absent + excluded (+ in flight), per column, currency
and status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pydantic import model_validator

from hybrid_sync.recorded.part import Amount, Recorded, total


class MoneyLine(Recorded):
    """One money column in one currency (and status): what legacy has, where it is, and what the target holds."""

    column: str
    currency: str
    status: str | None = None
    legacy: Amount
    current: Amount
    """Of rows that both sides have in the same version; the same again for the others."""
    stale: Amount
    absent: Amount
    excluded: Amount
    in_flight: Amount = Decimal(0)
    """Of rows that changed in legacy while the run was at work."""
    unexplained: Amount = Decimal(0)
    """Of rows that are missing, nobody knows why."""
    target: Amount
    """Of all live rows that the target holds for legacy, older versions included."""
    stale_in_target: Amount = Decimal(0)
    """What the target's older versions of the stale rows hold; it is among `target`, as the next is."""
    pending_deletes: Amount = Decimal(0)
    """Of rows that the target still has, and legacy no more."""
    missing: Amount
    """What legacy has, but for excluded rows, less what the target has: below zero where the target has more."""
    rows: int
    """All that legacy has."""
    current_rows: int = 0
    stale_rows: int = 0
    absent_rows: int = 0
    excluded_rows: int = 0
    in_flight_rows: int = 0
    unexplained_rows: int = 0
    pending_rows: int = 0
    """Rows of the target with an amount, which legacy no longer has."""
    not_numbers: int = 0
    """Rows of legacy whose amount is NaN or infinite: they are in no sum."""
    equal: bool
    """The current rows are as many and add up to the same, on both servers and by both ways."""
    agrees: bool
    """Equal, and no row of it is stale, absent or gone from legacy: the target has legacy's money, and no other."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_release(cls, value: Any) -> Any:
        """Lines of before summed the rows that both sides have, and nothing else."""
        if not isinstance(value, dict) or "current" in value or "legacy" not in value:
            return value
        rest = dict.fromkeys(("stale", "absent", "excluded"), "0")
        missing = total((Decimal(value["legacy"]), Decimal(value["target"]).copy_negate()))
        return {**value, **rest, "current": value["legacy"], "missing": missing, "agrees": value["equal"]}


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
            **{name: total(getattr(line, name) for line in group) for name in _AMOUNTS},
            **{name: sum(getattr(line, name) for line in group) for name in _ROWS},
            equal=all(line.equal for line in group),
            agrees=all(line.agrees for line in group),
        )
        for (column, currency), group in sorted(grouped.items(), key=lambda item: (places[item[0][0]], item[0][1]))
    )


_AMOUNTS, _ROWS = (
    [name for name, field in MoneyLine.model_fields.items() if field.annotation is kind] for kind in (Decimal, int)
)
