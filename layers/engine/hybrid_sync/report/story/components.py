"""Components: what each part of the business has in the target, in rows and in money, and where the others are."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_sync.report.document import Cell, Column, Fold, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import Conservation, EntitySummary, RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.words import NOTHING, capital, count, percent

_PLACES: tuple[tuple[str, Callable[[Conservation], int]], ...] = (
    ("Legacy", lambda c: c.legacy),
    ("Migrated", lambda c: c.migrated),
    ("Missed", lambda c: c.failed_absent),
    ("Excluded", lambda c: c.excluded),
    ("On the way", lambda c: c.in_flight),
    ("Unexplained", lambda c: c.missing),
    ("Stale in target", lambda c: c.failed_present),
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
        "Total is what belongs in the target: the rows of legacy without those that a rule of the catalog excludes. "
        "Missed records are not in the target, or only in an older version. Money is the sum of the column that "
        "stands for the component, over all statuses."
    )
    columns = (
        Column("Component"),
        Column("Status"),
        Column("Migrated / total", numeric=True),
        Column("Success", numeric=True),
        Column("Missed", numeric=True),
        Column("Money in legacy", numeric=True),
        Column("Money in target", numeric=True),
    )
    total = (
        cell("All components"),
        Cell(),
        cell(f"{count(summary.migrated_rows)} / {count(summary.due_rows)}"),
        cell(percent(summary.success_rate)),
        cell(count(summary.missed_records)),
        Cell(),
        Cell(),
    )
    rows = tuple(_row(e, missed[e.entity]) for e in entities)
    table = Table("Rows and money per component", columns, rows, total, stacked=True)
    return Section("components", "Components", (Text(lead), table, _where_rows_are(entities)))


def migrated_of_total(entity: EntitySummary) -> str:
    """`16,102 / 16,165`: rows in the target over rows in legacy that no rule excludes."""
    if entity.conservation is None:
        return NOTHING
    return f"{count(entity.conservation.migrated)} / {count(entity.conservation.due)}"


def standing(entity: EntitySummary, missed: int) -> Cell:
    """The component's status in words."""
    if entity.failure is not None:
        return Cell(("Failed",), Tone.bad)
    if entity.conserved is False:
        return Cell(("Does not add up",), Tone.bad)
    if entity.conserved is None:
        return Cell(("Not verified",), Tone.quiet)
    if missed:
        return Cell((f"Adds up, {count(missed)} missed",), Tone.warning)
    return Cell(("Complete",), Tone.good)


def _row(e: EntitySummary, missed: int) -> tuple[Cell, ...]:
    return (
        cell(capital(e.title)),
        standing(e, missed),
        cell(migrated_of_total(e)),
        cell(percent(e.success_rate)),
        cell(count(missed)),
        Cell(tuple(in_words(line.legacy, line.currency) for line in e.financial_impact)),
        Cell(tuple(in_words(line.target, line.currency) for line in e.financial_impact)),
    )


def _where_rows_are(entities: list[EntitySummary]) -> Fold:
    """Legacy = migrated + missed + excluded + on the way (+ unexplained, which fails the component)."""
    found = [(e.title, e.conservation) for e in entities if e.conservation]
    rows = tuple((cell(capital(title)), *(cell(count(place(c))) for _, place in _PLACES)) for title, c in found)
    total = tuple(cell(count(sum(place(c) for _, c in found))) for _, place in _PLACES)
    return Fold(
        "Where every row of legacy is",
        (
            Text(
                "Legacy is migrated, missed, excluded, or on the way because it changed while the run was at work; "
                "one row that is unexplained fails its component. The last three columns stand apart: they are "
                "rows that the target has in an older version, still has, or has had of its own."
            ),
            Table(
                "Rows of legacy and where they are",
                (Column("Component"), *(Column(head, numeric=True) for head, _ in _PLACES)),
                rows,
                (cell("All components"), *total),
            ),
        ),
    )
