"""Missed records by root cause: how many, since when, what it means, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hybrid_sync.report.analysis import Cause, CauseDetail, MissedCause, MissedRecord
from hybrid_sync.report.document import (
    Block,
    Cell,
    Chart,
    Charts,
    Column,
    Definitions,
    Part,
    Point,
    Ref,
    Section,
    Table,
    Text,
    Tone,
    cell,
)
from hybrid_sync.report.lines import failed_in_words
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import capital, count, moment, n_of, percent, place, reason_title

_OUTSIDE = re.compile(r"[^A-Za-z0-9_-]")
_STATES = {"open": "open", "escalated": "escalated", "accepted": "accepted by a person"}


def missed(summary: RunSummary) -> Section:
    """Every cause, oldest first, then the oldest records by key."""
    if not summary.causes:
        return Section("missed", "Missed records", (Text("None: nothing of these components is in quarantine."),))
    anchors = {record.ref for record in summary.records}
    blocks: list[Block] = [Text(_lead(summary))]
    if len(summary.causes) > 1:
        blocks.append(Charts((_by_cause(summary.causes),)))
    blocks += [_cause(cause, summary, anchors) for cause in summary.causes]
    blocks.append(Part("Oldest missed records", _listed(summary), (_records(summary.records),)))
    return Section("missed", "Missed records", tuple(blocks))


def _lead(summary: RunSummary) -> str:
    stale = sum(line.records - line.absent for line in summary.missed)
    return (
        "A missed record is a row of legacy that could not be written. It waits in quarantine under its key, with a "
        f"cause, until it arrives or a person decides. Of {n_of(summary.missed_records, 'record')}, "
        f"{count(summary.missed_records - stale)} are not in the target and {count(stale)} are there in an "
        f"older version. {failed_in_words(summary)} Causes stand in the order in which they first appeared."
    )


def _by_cause(causes: tuple[Cause, ...]) -> Chart:
    ranked = sorted(causes, key=lambda c: -c.records)
    return Chart(
        "Missed records by cause",
        tuple(Point(reason_title(c.reason), c.records, f"{count(c.records)} ({percent(c.share)})") for c in ranked),
        horizontal=True,
    )


def _cause(cause: Cause, summary: RunSummary, anchors: set[str]) -> Part:
    lines = [line for line in summary.missed if line.reason == cause.reason]
    facts = Definitions(
        (("What it means", cause.meaning), ("What to do", cause.remedy), ("Trend", _trend(cause, summary)))
    )
    note = f"`{cause.reason}`: {n_of(cause.records, 'record')}, {percent(cause.share)} of all missed"
    if cause.oldest is not None:
        note += f", since {moment(cause.oldest)}"
    return Part(reason_title(cause.reason), note, (facts, _where(cause, lines, anchors)))


def _trend(cause: Cause, summary: RunSummary) -> str:
    known = [number for number in cause.before if number is not None]
    now = f"{count(cause.records)} now, {count(cause.new)} new in this run"
    if cause.escalated:
        now += f", {count(cause.escalated)} escalated"
    if cause.accepted:
        now += f", {count(cause.accepted)} accepted by a person"
    if not known:
        return f"{now}; no comparable run before this one."
    runs = "run" if len(known) == 1 else f"{len(known)} runs"
    return f"{now}; at the end of the {runs} before: {', '.join(map(count, known))}."


def _where(cause: Cause, lines: list[MissedCause], anchors: set[str]) -> Table:
    columns = (
        Column("Component"),
        Column("Records", numeric=True),
        Column("New", numeric=True),
        Column("Where"),
        Column("First keys"),
        Column("Share of its rows", numeric=True),
        Column("Tolerated"),
        Column("Stale in target", numeric=True),
    )
    rows = tuple(
        (
            cell(capital(line.title)),
            cell(count(line.records)),
            cell(count(line.new)),
            Cell(tuple(_details(line.details))),
            Cell(refs=tuple(_ref(line.entity, key, anchors) for key in line.keys)),
            cell(percent(line.share)),
            _tolerated(line),
            cell(count(line.records - line.absent)),
        )
        for line in lines
    )
    return Table(f"{reason_title(cause.reason)}, by component", columns, rows)


def _tolerated(line: MissedCause) -> Cell:
    """What the catalog allows, and why; loud where there is more."""
    said = line.tolerated or "none"
    if line.beyond:
        return Cell((f"{said}: exceeded",), Tone.warning)
    return Cell((said, line.why) if line.why else (said,))


def _details(details: tuple[CauseDetail, ...]) -> Iterator[str]:
    """`63 of comment: case_id without a parent` and the like."""
    for d in details:
        where = place(d.constraint, d.column, d.sqlstate)
        waits = f", waiting for {d.parent}" if d.parent else ""
        yield f"{count(d.records)} of {d.source}" + (f": {where}" if where else "") + waits


def _ref(entity: str, key: str, anchors: set[str]) -> Ref:
    whole = f"{entity}/{key}"
    return Ref(key, anchor(whole) if whole in anchors else "")


def anchor(ref: str) -> str:
    """The name of a record's row in the page; without letters that a fragment would have to escape."""
    return "record-" + _OUTSIDE.sub("-", ref)


def _listed(summary: RunSummary) -> str:
    rest = summary.missed_records - len(summary.records)
    every = f"{n_of(len(summary.records), 'record')} by legacy key"
    return f"{every}; {count(rest)} more: hybrid-sync failures" if rest > 0 else every


def _records(records: tuple[MissedRecord, ...]) -> Table:
    columns = (
        Column("Record"),
        Column("Cause"),
        Column("Column"),
        Column("First seen"),
        Column("State"),
        Column("Retries", numeric=True),
        Column("In the target"),
        Column("Waits for"),
    )
    rows = tuple(
        (
            Cell(refs=(Ref(r.ref),), anchor=anchor(r.ref)),
            cell(reason_title(r.reason)),
            cell(r.column or ""),
            cell(moment(r.first_seen)),
            cell(_STATES.get(r.status, r.status)),
            cell(count(r.attempts)),
            cell("older version" if r.present else "no"),
            Cell(refs=(Ref(r.waits_for),)) if r.waits_for else Cell(),
        )
        for r in records
    )
    return Table("Missed records by key, oldest first", columns, rows)
