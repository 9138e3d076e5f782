"""Goals and what was measured, each met, missed or not measured."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_sync.recorded.levels import PERIOD_DAYS, EntityLevel, EventLevel, Level, Outcome
from hybrid_sync.report.document import Block, Cell, Column, Fold, Section, Table, Text, Tone, cell
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import NOTHING, age, capital, duration, moment, status_word

TONES = {Outcome.met: Tone.good, Outcome.missed: Tone.bad, Outcome.not_measured: Tone.quiet}


def service_levels(summary: RunSummary) -> Section | None:
    """As they were when the run ended; None of a run that measured none."""
    if summary.levels is None:
        return None
    found = summary.levels
    lead = f"{found.in_words}. Runs, requests and answers are those of {PERIOD_DAYS} days."
    blocks: list[Block] = [Text(lead), _goals(found.levels)]
    if found.entities:
        blocks.append(Fold("Staleness of each component", (_entities(found.entities),)))
    if found.events:
        blocks.append(Fold("Critical requests, the slowest", (_events(found.events),)))
    return Section("levels", "Service levels", tuple(blocks))


def _outcome(outcome: Outcome) -> Cell:
    return Cell((outcome,), TONES[outcome])


def _goals(levels: Sequence[Level]) -> Table:
    columns = (Column("Goal"), Column("Wanted"), Column("Outcome"), Column("Measured"), Column("From"))
    rows = tuple(
        (cell(capital(one.title)), cell(one.goal), _outcome(one.outcome), cell(one.measured), cell(one.source))
        for one in levels
    )
    return Table("Goals", columns, rows, stacked=True)


def _entities(levels: Sequence[EntityLevel]) -> Table:
    columns = (Column("Component"), Column("Complete up to"), Column("Age", numeric=True), Column("Under 4 days"))
    rows = tuple(
        (
            cell(capital(one.title)),
            cell(moment(one.complete_until)),
            cell(NOTHING if one.seconds is None else age(one.age)),
            _outcome(one.outcome),
        )
        for one in levels
    )
    return Table("Staleness of each component", columns, rows)


def _events(events: Sequence[EventLevel]) -> Table:
    columns = (
        Column("Run"),
        Column("Accepted"),
        Column("Took", numeric=True),
        Column("Ended as"),
        Column("Under 1 hour"),
    )
    rows = tuple(
        (
            cell(one.run_id),
            cell(moment(one.accepted_at)),
            cell(duration(one.seconds)),
            cell(status_word(one.status)),
            _outcome(one.outcome),
        )
        for one in events
    )
    return Table("Critical requests", columns, rows)
