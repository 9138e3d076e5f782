"""Whether what verification found adds up: one place decides, for the run's own line, its reports and every list."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from hybrid_sync.recorded.checks import Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.recorded.money import MoneyLine


class Sum(StrEnum):
    """What legacy and target come to."""

    yes = "yes"
    """Every row, reference and amount of legacy is in the target as legacy has it, or excluded by a rule; and the
    target counts no amount that is gone from legacy."""
    explained = "explained"
    """What is not has a failed record each, or is a pending delete; all else is the same."""
    no = "NO"
    """Something differs and nobody knows why, or nobody has looked."""
    unknown = "–"
    """Nothing has been verified yet."""


def entity_sum(
    conservation: Conservation | None,
    money: Iterable[MoneyLine],
    references: Iterable[ReferenceLine],
    reconcile: Reconcile | None,
) -> Sum:
    """Whether rows, references, money and contents of one entity add up."""
    if conservation is None:
        return Sum.unknown
    lines = tuple(money)
    left = reconcile.persisted + reconcile.money_left if reconcile else 0
    if not conservation.ok or left or not all(r.ok for r in references) or not all(m.equal for m in lines):
        return Sum.no
    return Sum.yes if conservation.agrees and all(line.agrees for line in lines) else Sum.explained


def run_sum(entities: Iterable[Sum], *, ended: bool) -> Sum:
    """Of a run: as its worst entity; in one that has ended, an entity that was not verified does not add up."""
    found = tuple(entities)
    if Sum.no in found or (ended and (not found or Sum.unknown in found)):
        return Sum.no
    if Sum.unknown in found or not found:
        return Sum.unknown
    return Sum.explained if Sum.explained in found else Sum.yes
