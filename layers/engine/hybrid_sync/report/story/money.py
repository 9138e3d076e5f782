"""Money: every amount summed on both servers, per currency and status, and whether the two agree."""

from __future__ import annotations

from hybrid_sync.report.document import Block, Cell, Column, Fold, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.money_lines import MoneyLine, over_statuses
from hybrid_sync.report.words import NOTHING, capital, count


def money(summary: RunSummary) -> Section | None:
    """Totals per column and currency; the sums by status are folded away, unless one of them differs."""
    with_money = [e for e in summary.entities if e.money]
    if not with_money:
        return None
    totals = [(e.title, line) for e in with_money for line in over_statuses(e.money)]
    single = [(e.title, line) for e in with_money for line in e.money]
    lead = (
        "Legacy and target each add up the rows that both have; a sum agrees only if it is the same to the last digit "
        "and made of as many rows. Currencies are never added to each other."
    )
    blocks: list[Block] = [Text(lead), _table("Money per column and currency", totals, by_status=False)]
    if any(line.status is not None for _, line in single):
        detail = _table("Money per status", single, by_status=True)
        wrong = any(not line.equal for _, line in single)
        blocks.append(detail if wrong else Fold("Every sum by status", (detail,)))
    return Section("money", "Money", tuple(blocks))


def _table(caption: str, lines: list[tuple[str, MoneyLine]], *, by_status: bool) -> Table:
    columns = [
        Column("Component"),
        Column("Column"),
        Column("Status"),
        Column("Legacy", numeric=True),
        Column("Target", numeric=True),
        Column("Rows", numeric=True),
        Column("Agrees"),
    ]
    rows = [
        (
            cell(capital(title)),
            cell(line.column),
            cell(line.status or NOTHING),
            cell(in_words(line.legacy, line.currency)),
            cell(in_words(line.target, line.currency)),
            cell(count(line.rows)),
            Cell(("yes",), Tone.good) if line.equal else Cell(("NO",), Tone.bad),
        )
        for title, line in lines
    ]
    if by_status:
        return Table(caption, tuple(columns), tuple(rows))
    return Table(caption, tuple(columns[:2] + columns[3:]), tuple(row[:2] + row[3:] for row in rows))
