"""Components: what each part of the business has in the target, in rows and in money, and where the others are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hybrid_sync.recorded.conservation import Conservation, over_all
from hybrid_sync.report.document import Cell, Column, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.words import NOTHING, capital, count, percent

_PLACES: tuple[tuple[str, Callable[[Conservation], int]], ...] = (
    ("Legacy", lambda c: c.legacy),
    ("Current", lambda c: c.current),
    ("Stale", lambda c: c.stale),
    ("Absent", lambda c: c.absent),
    ("Excluded", lambda c: c.excluded),
    ("In flight", lambda c: c.in_flight),
    ("Unexplained", lambda c: c.missing),
)
_APART: tuple[tuple[str, Callable[[Conservation], int]], ...] = (
    ("Gone from legacy", lambda c: c.pending_deletes),
    ("Native in target", lambda c: c.native),
)


def components(summary: RunSummary) -> Section | None:
    """One row per component, in alphabetical order; then the equation behind it."""
    if not summary.entities:
        return None
    entities = sorted(summary.entities, key=lambda e: e.title.lower())
    missed = {e.entity: sum(m.records for m in summary.missed if m.entity == e.entity) for e in entities}
    lead = (
        "Current rows are in the target as legacy has them; due are the rows of legacy without those that a rule of "
        "the catalog excludes. Missed records are not in the target, or only in an older version. Money is the sum of "
        "the column that stands for the component, over all statuses."
    )
    columns = (
        Column("Component"),
        Column("Status"),
        Column("Current / due", numeric=True),
        Column("Success", numeric=True),
        Column("Missed", numeric=True),
        Column("Money in legacy", numeric=True),
        Column("Money in target", numeric=True),
    )
    total = (
        cell("All components"),
        Cell(),
        cell(f"{count(summary.current_rows)} / {count(summary.due_rows)}"),
        cell(percent(summary.success_rate)),
        cell(count(summary.missed_records)),
        Cell(),
        Cell(),
    )
    rows = tuple(_row(e, missed[e.entity]) for e in entities)
    table = Table("Rows and money per component", columns, rows, total, stacked=True)
    return Section("components", "Components", (Text(lead), table, _where_rows_are(entities)))


def current_of_due(entity: EntitySummary) -> str:
    """`16,102 / 16,165`: rows that are in the target as legacy has them, over those that no rule excludes."""
    if entity.conservation is None:
        return NOTHING
    return f"{count(entity.conservation.current)} / {count(entity.conservation.due)}"


def standing(entity: EntitySummary, missed: int) -> Cell:
    """The component's status in words."""
    if entity.failure is not None:
        return Cell(("Failed",), Tone.bad)
    if entity.conserved is False:
        return Cell(("Does not add up",), Tone.bad)
    if entity.conserved is None:
        return Cell(("Not verified",), Tone.quiet)
    if missed:
        return Cell((f"Explained, {count(missed)} missed",), Tone.warning)
    return Cell(("Complete",), Tone.good)


def _row(e: EntitySummary, missed: int) -> tuple[Cell, ...]:
    return (
        cell(capital(e.title)),
        standing(e, missed),
        cell(current_of_due(e)),
        cell(percent(e.success_rate)),
        cell(count(missed)),
        Cell(tuple(in_words(line.legacy, line.currency) for line in e.financial_impact)),
        Cell(tuple(in_words(line.target, line.currency) for line in e.financial_impact)),
    )


def _where_rows_are(entities: list[EntitySummary]) -> Table | Text:
    """Legacy = current + stale + absent + excluded + in flight (+ unexplained, which fails the component)."""
    found = [(e, e.conservation) for e in entities if e.conservation]
    if not found:
        return Text("No component was verified, so nobody knows where its rows are.")
    columns = (
        Column("Component"),
        *(Column(head, numeric=True) for head, _ in _PLACES),
        Column("Agrees"),
        *(Column(head, numeric=True) for head, _ in _APART),
    )
    rows = tuple(
        (cell(capital(e.title)), *_numbers(c, _PLACES), agrees(e.adds_up), *_numbers(c, _APART)) for e, c in found
    )
    whole = over_all(tuple(c for _, c in found))
    assert whole is not None
    total = (cell("All components"), *_numbers(whole, _PLACES), Cell(), *_numbers(whole, _APART))
    return Table(
        "Where every row of legacy is: legacy = current + stale + absent + excluded + in flight", columns, rows, total
    )


def agrees(said: Sum | str) -> Cell:
    """`yes` is said only where nothing is stale or absent."""
    tones = {Sum.yes: Tone.good, Sum.explained: Tone.warning, Sum.no: Tone.bad}
    return Cell((str(said),), tones.get(Sum(said), Tone.quiet))


def _numbers(c: Conservation, places: Sequence[tuple[str, Callable[[Conservation], int]]]) -> Iterator[Cell]:
    return (cell(count(place(c))) for _, place in places)


def impact(entity: EntitySummary) -> str:
    """The headline column's totals, one per currency."""
    return ", ".join(in_words(amount, currency) for currency, amount in entity.impact.items())
