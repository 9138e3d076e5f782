"""The honest end: what went wrong, what the run has not looked at, and what the words mean."""

from __future__ import annotations

from hybrid_sync.report.document import Bullets, Cell, Column, Definitions, Fold, Section, Table, Text, cell
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import capital, count

_WORDS = (
    ("Legacy", "The old system, which is still in use; it is only read."),
    ("Target", "The new database, which is filled from legacy."),
    ("Component", "One table of the target, under the name that the business uses."),
    ("Current", "A row that the target has as legacy has it."),
    ("Stale", "A row that failed, and of which the target has an older version."),
    ("Absent", "A row that failed, and that the target does not have."),
    ("In flight", "A row that legacy changed while the run was at work; the next run reads it."),
    ("Missed record", "A row of legacy that could not be written; it waits in quarantine with its cause."),
    ("Accepted", "A missed record that a person has decided to live with; it counts no more until its row changes."),
    ("Tolerated", "How many missed records of a cause the catalog allows, and why; with more, the run is degraded."),
    ("Excluded", "Left out on purpose, by a rule of the catalog."),
    ("Gone from legacy", "Still in the target, while legacy has deleted it: a pending delete."),
    ("Reference", "The column of a row that says which other row it belongs to, such as a payment's order."),
    (
        "Adds up",
        "Yes: each row of legacy is in the target or excluded, every reference leads to a row and none was lost, and "
        "the money of both sides is equal. Explained: the same, but for rows that failed and are listed, and amounts "
        "that are gone from legacy. NO: something differs that nothing explains, or that nobody could look at.",
    ),
)


def failures(summary: RunSummary) -> Section | None:
    """Components and states that failed, each with what to do."""
    items = [f"{capital(e.title)}: {e.failure.text} ({e.failure.code})" for e in summary.entities if e.failure]
    named = {(e.failure.code, e.failure.text) for e in summary.entities if e.failure}
    items += [
        f"{f.state}{f' of {f.entity}' if f.entity else ''}: {f.cause} ({f.error})"
        for f in summary.failures
        if (f.error, f.cause) not in named
    ]
    return Section("failures", "What went wrong", (Bullets(tuple(items)),)) if items else None


def limits(summary: RunSummary) -> Section:
    """What the run says nothing about."""
    return Section(
        "limits",
        "Not looked at",
        (
            Text("What this run says nothing about:"),
            Bullets(summary.not_looked_at),
            Fold("What the words mean", (Definitions(_WORDS),)),
        ),
    )


def workers(summary: RunSummary) -> Section | None:
    """The memory of the workers, for operators."""
    if not summary.workers:
        return None
    columns = (
        Column("Function"),
        Column("Workers", numeric=True),
        Column("Peak MiB", numeric=True),
        Column("Limit MiB", numeric=True),
    )
    rows = tuple(
        (
            cell(w.function),
            cell(count(w.workers)),
            Cell((f"{w.peak_rss_mib:,.1f}",), share=w.peak_rss_mib / w.memory_mib if w.memory_mib else None),
            cell(count(w.memory_mib)),
        )
        for w in summary.workers
    )
    return Section("memory", "Memory", (Table("Memory of the workers", columns, rows),))
