"""Where the run's time went, and what held it up, with its remedy."""

from __future__ import annotations

from hybrid_sync.report.document import Block, Bullets, Cell, Column, Fold, Section, Table, Text, cell
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import capital, count, duration, n_of
from hybrid_sync.tuning.model import Bottleneck, Performance

_SHOWN = 20


def performance(summary: RunSummary) -> Section | None:
    """Bottlenecks first; the steps that took most are folded away."""
    found = summary.performance
    if found is None:
        return None
    lead = f"{n_of(found.calls, 'call')} of functions took {duration(found.seconds)} together, side by side or not."
    blocks: tuple[Block, ...] = (Text(lead),)
    if found.bottlenecks:
        blocks += (Bullets(tuple(_said(one) for one in found.bottlenecks)),)
    else:
        blocks += (Text(found.sentence),)
    titles = {e.entity: capital(e.title) for e in summary.entities}
    return Section("performance", "Where the time went", (*blocks, Fold("By step", (_steps(found, titles),))))


def _said(one: Bottleneck) -> str:
    ddl = f" {one.ddl}" if one.ddl else ""
    return f"{one.sentence} {one.remedy}{ddl}"


def _steps(found: Performance, titles: dict[str, str]) -> Table:
    columns = (
        Column("Component"),
        Column("Step"),
        *(Column(head, numeric=True) for head in ("Calls", "Time", "Waits for legacy", "Waits for the target")),
    )
    longest = max((line.seconds for line in found.steps), default=0)
    rows = tuple(
        (
            cell(titles.get(line.entity, line.entity) or "All"),
            cell(line.step),
            cell(count(line.calls)),
            Cell((duration(line.seconds),), share=line.seconds / longest if longest else None),
            cell(duration(line.legacy_seconds)),
            cell(duration(line.target_seconds)),
        )
        for line in found.steps[:_SHOWN]
    )
    return Table("Time by component and step", columns, rows)
