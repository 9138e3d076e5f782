"""A rollback: what was put back, what was left alone and why, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hybrid_sync.report.document import (
    Bullets,
    Cell,
    Column,
    Document,
    Fact,
    Facts,
    Ref,
    Section,
    Table,
    Text,
    Tone,
    cell,
)
from hybrid_sync.report.model import Rollback, RunSummary, UndoneEntity
from hybrid_sync.report.story.limits import failures
from hybrid_sync.report.words import NOTHING, capital, count, day, duration, listed, moment, n_of, run_title

REASONS = {
    "superseded": "written by a later run",
    "edited": "edited natively",
    "gone": "deleted natively",
    "referenced": "referred to by rows that the run did not bring",
    "occupied": "there again",
    "refused": "refused by the target",
}
"""Why a row was left alone."""

_DONE: tuple[tuple[str, Callable[[UndoneEntity], int]], ...] = (
    ("Put back", lambda e: e.updated),
    ("Deleted", lambda e: e.deleted),
    ("Brought back", lambda e: e.inserted),
    ("As before already", lambda e: e.unchanged),
    ("Left alone", lambda e: e.left_alone),
)


def rollback_story(summary: RunSummary, rollback: Rollback) -> Document:
    """The whole story of a rollback."""
    word, tone = _verdict(summary, rollback)
    sections = (failures(summary), _undone(rollback), _left_alone(rollback), _next(summary, rollback))
    return Document(
        title=f"{run_title(summary.profile)} of {day(summary.started_at)}",
        run_id=summary.run_id,
        subtitle=f"Run {summary.run_id}, which undoes {rollback.undoes}, started {moment(summary.started_at)} "
        f"by {summary.trigger}",
        verdict=word,
        tone=tone,
        opening=(Text(" ".join(_sentences(summary, rollback))), Facts(tuple(_facts(summary, rollback)))),
        sections=tuple(section for section in sections if section is not None),
    )


def _verdict(summary: RunSummary, rollback: Rollback) -> tuple[str, Tone]:
    if summary.status == "running":
        return "Still at work", Tone.quiet
    if summary.status != "succeeded":
        return capital(summary.status), Tone.bad
    if rollback.conflicts:
        return "Undone, with rows left alone", Tone.warning
    return "Undone", Tone.good


def _sum(rollback: Rollback, value: Callable[[UndoneEntity], int]) -> int:
    return sum(value(e) for e in rollback.entities)


def _sentences(summary: RunSummary, rollback: Rollback) -> Iterator[str]:
    if summary.status == "running":
        yield f"Run {rollback.undoes} is being undone; these are the numbers so far."
    else:
        yield f"Run {rollback.undoes} was undone."
    back = _sum(rollback, lambda e: e.updated + e.deleted + e.inserted)
    yield f"{capital(n_of(back, 'row'))} {'is' if back == 1 else 'are'} as before it."
    left = _sum(rollback, lambda e: e.left_alone)
    if left:
        yield f"{capital(n_of(left, 'row'))} {'was' if left == 1 else 'were'} left alone, each for a reason."
    else:
        yield "No row was left alone."


def _facts(summary: RunSummary, rollback: Rollback) -> Iterator[Fact]:
    notes = ("as they were before the run", "because the run had brought them", "because the run had deleted them")
    for (label, value), note in zip(_DONE, notes, strict=False):
        yield Fact(label, count(_sum(rollback, value)), note)
    left = _sum(rollback, lambda e: e.left_alone)
    yield Fact(
        "Left alone",
        count(left),
        "no longer what the run wrote" if left else "every row was still what the run wrote",
        Tone.warning if left else Tone.good,
    )
    yield Fact("Held", count(len(rollback.entities)), "components, until somebody releases them")
    yield Fact("Duration", duration(summary.seconds), "from its start to its last row")


def _undone(rollback: Rollback) -> Section:
    if not rollback.entities:
        return Section(
            "undone", "What was undone", (Text("The run had written nothing, so there was nothing to undo."),)
        )
    columns = (Column("Component"), *(Column(head, numeric=True) for head, _ in _DONE))
    rows = tuple(
        (cell(capital(e.title)), *(cell(count(value(e))) for _, value in _DONE))
        for e in sorted(rollback.entities, key=lambda e: e.title.lower())
    )
    total = (cell("All components"), *(cell(count(_sum(rollback, value))) for _, value in _DONE))
    return Section("undone", "What was undone", (Table("Rows undone per component", columns, rows, total),))


def _left_alone(rollback: Rollback) -> Section | None:
    if not rollback.conflicts:
        return None
    lead = (
        "These rows no longer are what the run wrote. They stay as they are; all their keys stand in the target's "
        "table `hybrid_sync.rollback_conflict`."
    )
    titles = {e.entity: e.title for e in rollback.entities}
    columns = (
        Column("Component"),
        Column("Why"),
        Column("By run"),
        Column("Rows", numeric=True),
        Column("First records"),
    )
    rows = tuple(
        (
            cell(capital(titles.get(c.entity, c.entity))),
            cell(REASONS.get(c.reason, c.reason)),
            cell(c.by_run or NOTHING),
            cell(count(c.records)),
            Cell(refs=tuple(Ref(f"{c.entity}/{key}") for key in c.keys)),
        )
        for c in rollback.conflicts
    )
    return Section("left-alone", "Left alone", (Text(lead), Table("Rows that were left alone", columns, rows)))


def _next(summary: RunSummary, rollback: Rollback) -> Section | None:
    if not rollback.entities:
        return None
    held = " ".join(sorted(e.entity for e in rollback.entities))
    items = (
        f"Held: {listed(sorted(e.title for e in rollback.entities))}. When the cause is settled: "
        f"`hybrid-sync release {held}`. The next run then reads what was undone again.",
        f"To get the changes back as they were: `hybrid-sync rollback {summary.run_id}`.",
    )
    return Section("next", "What to do next", (Bullets(items),))
