"""The run beside those before it: of the same profile, over the same part of the catalog."""

from __future__ import annotations

from datetime import datetime

from hybrid_sync.dataclass import dataclass
from hybrid_sync.report.document import Chart, Charts, Column, Point, Section, Table, Text, cell
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.story.components import agrees
from hybrid_sync.report.words import NOTHING, compact, count, duration, moment, n_of, percent, status_word


@dataclass(frozen=True)
class _Run:
    run_id: str
    started_at: datetime
    status: str
    seconds: float
    read: int
    written: int
    success_rate: float | None
    missed: int | None
    adds_up: str


def history(summary: RunSummary) -> Section:
    """A table of the runs, newest first, and how missed records, rows and duration moved."""
    title = "Earlier runs"
    if not summary.past:
        return Section("history", title, (Text("There is no comparable run before this one."),))
    counts = summary.counts
    this = _Run(
        summary.run_id, summary.started_at, summary.status, summary.seconds, counts.read,
        counts.inserted + counts.updated, summary.success_rate, summary.missed_records, summary.adds_up,
    )  # fmt: skip
    runs = [
        *(
            _Run(p.run_id, p.started_at, p.status, p.seconds, p.read, p.written, p.success_rate, p.missed_records,
                 p.adds_up)
            for p in summary.past
        ),
        this,
    ]  # fmt: skip
    return Section("history", title, (Text(_lead(runs)), Charts(_charts(runs)), _table(runs)))


def _lead(runs: list[_Run]) -> str:
    before, this = runs[-2:]
    if before.missed is None or this.missed is None:
        return f"The run before was {before.run_id}; it left no count of its missed records."
    change = this.missed - before.missed
    if change == 0:
        return f"As many missed records as in the run before ({count(this.missed)})."
    word = "more" if change > 0 else "fewer"
    return f"{n_of(abs(change), 'missed record')} {word} than in the run before ({count(before.missed)})."


def _charts(runs: list[_Run]) -> tuple[Chart, ...]:
    one_day = len({run.started_at.date() for run in runs}) == 1
    labels = [f"{run.started_at:%H:%M}" if one_day else f"{run.started_at:%m-%d}" for run in runs]

    def columns(title: str, values: list[float | None], shown: list[str]) -> Chart:
        return Chart(title, tuple(Point(*point) for point in zip(labels, values, shown, strict=True)))

    missed = [run.missed for run in runs]
    return (
        columns("Missed records", [*missed], [NOTHING if n is None else compact(n) for n in missed]),
        columns("Rows read", [run.read for run in runs], [compact(run.read) for run in runs]),
        columns("Seconds", [run.seconds for run in runs], [compact(run.seconds) for run in runs]),
    )


def _table(runs: list[_Run]) -> Table:
    columns = (
        Column("Run"),
        Column("Started"),
        Column("Status"),
        Column("Success", numeric=True),
        Column("Missed", numeric=True),
        Column("Read", numeric=True),
        Column("Written", numeric=True),
        Column("Duration", numeric=True),
        Column("Adds up"),
    )
    rows = tuple(
        (
            cell(f"{run.run_id} (this run)" if run is runs[-1] else run.run_id),
            cell(moment(run.started_at)),
            cell(status_word(run.status)),
            cell(percent(run.success_rate)),
            cell(count(run.missed)),
            cell(count(run.read)),
            cell(count(run.written)),
            cell(duration(run.seconds)),
            agrees(run.adds_up),
        )
        for run in reversed(runs)
    )
    return Table("This run and those before it, newest first", columns, rows)
