"""Money: where every amount of legacy is, per currency and status, and whether the two sides agree."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from hybrid_sync.recorded.money import MoneyLine, over_statuses
from hybrid_sync.report.document import Block, Column, Fold, Section, Table, Text, cell
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.story.components import agrees
from hybrid_sync.report.words import NOTHING, capital, count

_AMOUNTS: tuple[tuple[str, Callable[[MoneyLine], Decimal]], ...] = (
    ("Legacy", lambda line: line.legacy),
    ("Current", lambda line: line.current),
    ("Stale", lambda line: line.stale),
    ("Absent", lambda line: line.absent),
    ("Excluded", lambda line: line.excluded),
    ("Target", lambda line: line.target),
    ("Missing", lambda line: line.missing),
)
_GONE: tuple[str, Callable[[MoneyLine], Decimal]] = ("Gone from legacy", lambda line: line.pending_deletes)


def money(summary: RunSummary) -> Section | None:
    """Totals per column and currency; the sums by status are folded away, unless one of them does not agree."""
    with_money = [e for e in summary.entities if e.money]
    if not with_money:
        return None
    totals = [(e.title, line) for e in with_money for line in over_statuses(e.money)]
    single = [(e.title, line) for e in with_money for line in e.money]
    lead = (
        "Legacy is everything that legacy has: the amounts of its current, stale, absent and excluded rows. Target is "
        "what the target holds, older versions and rows that are gone from legacy included, and missing what legacy "
        "has beyond that, without excluded rows; it is negative where the target has more. A sum agrees only if "
        "nothing is stale, absent or gone from legacy and both servers say the same, to the last digit and of as many "
        "rows. Currencies are never added to each other."
    )
    blocks: list[Block] = [Text(lead), _table("Money per column and currency", totals, by_status=False)]
    if any(line.status is not None for _, line in single):
        detail = _table("Money per status", single, by_status=True)
        wrong = any(not line.agrees for _, line in single)
        blocks.append(detail if wrong else Fold("Every sum by status", (detail,)))
    return Section("money", "Money", tuple(blocks))


def _table(caption: str, lines: list[tuple[str, MoneyLine]], *, by_status: bool) -> Table:
    # The table is wide: what mostly nothing has, it shows only where there is some.
    amounts = (*_AMOUNTS[:-1], _GONE, _AMOUNTS[-1]) if any(line.pending_rows for _, line in lines) else _AMOUNTS
    columns = [
        Column("Component"),
        Column("Column"),
        Column("Status"),
        *(Column(head, numeric=True) for head, _ in amounts),
        Column("Rows", numeric=True),
        Column("Agrees"),
    ]
    rows = [
        (
            cell(capital(title)),
            cell(line.column),
            cell(line.status or NOTHING),
            *(cell(in_words(amount(line), line.currency)) for _, amount in amounts),
            cell(count(line.rows)),
            agrees(Sum.yes if line.agrees else Sum.explained if line.equal else Sum.no),
        )
        for title, line in lines
    ]
    if by_status:
        return Table(caption, tuple(columns), tuple(rows))
    return Table(caption, tuple(columns[:2] + columns[3:]), tuple(row[:2] + row[3:] for row in rows))
