"""What the run did and how fast, and how fresh each component is."""

from __future__ import annotations

from hybrid_sync.report.document import Block, Cell, Column, Fold, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.words import NOTHING, age, capital, count, duration, moment

_READ_BY = {
    "fence": "what changed",
    "full": "everything",
    "timestamp": "what changed, by timestamp",
    "keys": "the rows asked for",
    "range": "a range of time",
    "none": "nothing",
}


def throughput(summary: RunSummary) -> Section | None:
    """Rows and seconds per component, in the order in which they were written."""
    if not summary.entities:
        return None
    fastest = max((e.rows_per_second or 0 for e in summary.entities), default=0)
    columns = (
        Column("Component"),
        Column("Read"),
        *(
            Column(head, numeric=True)
            for head in ("Rows", "New", "Changed", "Unchanged", "Failed", "Deleted", "Batches")
        ),
        Column("Duration", numeric=True),
        Column("Rows/s", numeric=True),
    )
    rows = tuple(_work(e, fastest) for e in summary.entities)
    c = summary.counts
    speed = f"{c.read / summary.seconds:,.0f}" if summary.seconds and c.read else NOTHING
    total = (
        cell("All components"),
        Cell(),
        *(cell(count(n)) for n in (c.read, c.inserted, c.updated, c.unchanged, c.failed, summary.deleted_rows)),
        cell(count(sum(e.batches_done for e in summary.entities))),
        cell(duration(summary.seconds)),
        cell(speed),
    )
    lead = (
        "Duration runs from a component's plan to its last batch; components that do not wait for one another work at"
        " the same time."
    )
    blocks: tuple[Block, ...] = (Text(lead), Table("Work of this run", columns, rows, total))
    linked = [e for e in summary.entities if e.links_made or e.links_pending]
    return Section("throughput", "Throughput", (*blocks, _links(linked)) if linked else blocks)


def _links(entities: list[EntitySummary]) -> Fold:
    columns = (Column("Component"), Column("Linked", numeric=True), Column("Still open", numeric=True))
    rows = tuple((cell(capital(e.title)), cell(count(e.links_made)), cell(count(e.links_pending))) for e in entities)
    lead = "A reference to a row that comes later is linked when both are there; one still open finds no row yet."
    return Fold("References linked later", (Text(lead), Table("References linked later", columns, rows)))


def freshness(summary: RunSummary) -> Section | None:
    """How far each component is complete, stalest first."""
    if not summary.entities:
        return None
    ordered = sorted(summary.entities, key=lambda e: (e.complete_until is not None, e.complete_until, e.title))
    columns = (
        Column("Component"),
        Column("Complete up to"),
        Column("Age when the run ended", numeric=True),
        Column("Moved on by this run"),
    )
    rows = tuple(
        (
            cell(capital(e.title)),
            cell(moment(e.complete_until)),
            cell(NOTHING if e.complete_until is None else age(summary.as_of - e.complete_until)),
            Cell(("yes",), Tone.good) if e.fence_advanced else Cell(("no",), Tone.quiet),
        )
        for e in ordered
    )
    lead = (
        "Everything that legacy committed before the time shown is in the target, or a missed record. A component "
        "moves on only after all its rows, references and money have been verified."
    )
    return Section("freshness", "Freshness", (Text(lead), Table("Freshness, stalest first", columns, rows)))


def _work(e: EntitySummary, fastest: float) -> tuple[Cell, ...]:
    planned = NOTHING if e.batches_planned is None else count(e.batches_planned)
    c = e.counts
    return (
        cell(capital(e.title)),
        cell(_READ_BY.get(e.detection or "", NOTHING)),
        *(cell(count(n)) for n in (c.read, c.inserted, c.updated, c.unchanged, c.failed, e.deleted_rows)),
        cell(f"{count(e.batches_done)} / {planned}"),
        cell(duration(e.seconds)),
        Cell(
            (NOTHING if e.rows_per_second is None else f"{e.rows_per_second:,.0f}",),
            share=e.rows_per_second / fastest if e.rows_per_second and fastest else None,
        ),
    )
