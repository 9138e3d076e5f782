"""A report on the terminal: the same numbers as the Markdown, in tables that fit a screen."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from hybrid_sync.recorded.levels import Levels
from hybrid_sync.report.lines import (
    asked,
    beyond,
    deletes,
    failed_in_words,
    money,
    new_failures,
    rate,
    rows,
    unexplained,
)
from hybrid_sync.report.model import EntitySummary, Rollback, RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.story.components import current_of_due, impact
from hybrid_sync.report.words import NOTHING, percent, status_word
from hybrid_sync_cli import screen
from hybrid_sync_cli.screen import Sheet
from hybrid_sync_cli.screen import console as console
from hybrid_sync_cli.screen import plain as plain

SHOWN_FAILURES = 10


def report(summary: RunSummary, out: Console) -> None:
    """Print the whole report."""
    for part in _parts(summary):
        if isinstance(part, Sheet):
            out.print()
            out.print(part)
        else:
            # A file keeps a line of words whole.
            for line in screen.wrapped(part, screen.width()):
                out.print(Text(line), soft_wrap=True)


def headline(summary: RunSummary) -> str:
    """One line: what happened, how much of it is right, and whether it adds up."""
    c = summary.counts
    part = f" (in part: {summary.scope})" if summary.scope else ""
    undone = f" (by {summary.undone_by})" if summary.undone_by else ""
    return (
        f"Run {summary.run_id}{part}: {status_word(summary.status)}{undone} in {summary.seconds:,.1f} s; "
        f"read {c.read:,}, inserted {c.inserted:,}, updated {c.updated:,}, unchanged {c.unchanged:,}, "
        f"deleted {summary.deleted_rows:,}; "
        f"current: {rate(summary)}; rows, references and money add up: {summary.adds_up}"
    )


def _parts(summary: RunSummary) -> Iterable[Sheet | str]:
    if summary.rollback is not None:
        yield from _rollback(summary, summary.rollback)
        return
    yield headline(summary)
    yield _components(summary.entities)
    yield from _where_rows_are(summary)
    yield rows(summary)
    yield from (*money(summary), *deletes(summary))
    yield from _money(summary)
    yield from _references(summary)
    if summary.workers:
        peaks = ", ".join(f"{w.function} {w.peak_rss_mib:.0f}/{w.memory_mib}" for w in summary.workers)
        yield f"Peak memory, MiB of limit: {peaks}"
    yield from (failed_in_words(summary), *new_failures(summary), *asked(summary), *unexplained(summary))
    yield from beyond(summary)
    if summary.missed:
        yield _missed(summary)
    if summary.levels:
        yield goals(summary.levels)
        yield f"{summary.levels.in_words}."
    for f in summary.failures[:SHOWN_FAILURES]:
        yield f"Failed: {f.state}{f' ({f.entity})' if f.entity else ''}: {f.error}: {f.cause}"
    if (more := len(summary.failures) - SHOWN_FAILURES) > 0:
        yield f"… and {more} more: hybrid-sync report {summary.run_id} --format md"


def goals(levels: Levels) -> Sheet:
    """Each goal, and what was measured."""
    return plain(
        ("goal", "wanted", "outcome", "measured", "from"),
        ((one.title, one.goal, one.outcome, one.measured, one.source) for one in levels.levels),
        spare=("from",),
        title="Service levels",
    )


def _references(summary: RunSummary) -> Iterable[Sheet]:
    if referring := [(e, line) for e in summary.entities for line in e.references if not line.ok]:
        yield plain(
            ("component", "column", "dangling", "lost", "first keys"),
            (
                (
                    e.title,
                    line.column,
                    f"{line.dangling:,}",
                    f"{line.lost:,}",
                    ", ".join((*line.dangling_keys, *line.lost_keys)),
                )
                for e, line in referring
            ),
            right=("dangling", "lost"),
            title="References that lead nowhere or were lost",
        )


def _money(summary: RunSummary) -> Iterable[Sheet | str]:
    """Every sum of which the target does not hold what legacy has."""
    differing = [(e, line) for e in summary.entities for line in e.money if not line.agrees]
    gone = ("pending_deletes",) if any(line.pending_rows for _, line in differing) else ()
    amounts = ("legacy", "current", "stale", "absent", "excluded", "target", *gone, "missing")
    heads = tuple(name.replace("_", " ") for name in amounts)
    if differing:
        yield plain(
            ("component", "column", "status", *heads, "agrees"),
            (
                (
                    e.title,
                    line.column,
                    line.status or NOTHING,
                    *(in_words(getattr(line, name), line.currency) for name in amounts),
                    Sum.explained if line.equal else Sum.no,
                )
                for e, line in differing
            ),
            right=heads,
            title="Money that does not agree",
        )


def _components(entities: Iterable[EntitySummary]) -> Sheet:
    numbers = (
        "current / due", "success", "read", "new", "changed", "same", "failed tries", "deleted", "links", "s", "rows/s",
    )  # fmt: skip
    return plain(
        ("component", *numbers, "impact", "status"),
        (
            (
                e.title,
                current_of_due(e),
                percent(e.success_rate),
                f"{e.counts.read:,}",
                f"{e.counts.inserted:,}",
                f"{e.counts.updated:,}",
                f"{e.counts.unchanged:,}",
                f"{e.counts.failed:,}",
                f"{e.deleted_rows:,}",
                f"{e.links_pending:,}",
                NOTHING if e.seconds is None else f"{e.seconds:,.1f}",
                NOTHING if e.rows_per_second is None else f"{e.rows_per_second:,.0f}",
                impact(e),
                state(e),
            )
            for e in entities
        ),
        right=numbers,
        spare=("links", "rows/s", "s", "same", "impact", "deleted", "changed", "new", "read", "success"),
    )


def _where_rows_are(summary: RunSummary) -> Iterable[Sheet]:
    """Legacy = current + stale + absent + excluded + in flight, and what became of rows that have gone from it;
    of components where not every row is current."""
    shown = [e for e in summary.entities if not _all_current(e)]
    if not shown:
        return
    places = ("legacy", "current", "stale", "absent", "excluded", "in_flight", "missing")
    numbers = (*(place.replace("_", " ") for place in places), "gone", "deleted")
    yield plain(
        ("component", *numbers, "agrees"),
        (
            (
                e.title,
                *(f"{getattr(e.conservation, place):,}" if e.conservation else NOTHING for place in places),
                f"{e.conservation.pending_deletes:,}" if e.conservation else NOTHING,
                f"{e.deletes.deleted + e.deletes.soft:,}" if e.deletes else NOTHING,
                e.adds_up,
            )
            for e in shown
        ),
        right=numbers,
        title="Where the rows of legacy are",
    )


def _all_current(e: EntitySummary) -> bool:
    where = e.conservation
    return where is not None and where.current == where.legacy and not where.pending_deletes and not e.deleted_rows


def _rollback(summary: RunSummary, rollback: Rollback) -> Iterable[Sheet | str]:
    numbers = ("put back", "deleted", "brought back", "left alone")
    yield f"Run {summary.run_id}: {summary.status} in {summary.seconds:,.1f} s; undoes {rollback.undoes}"
    yield plain(
        ("component", *numbers),
        (
            (e.title, f"{e.updated:,}", f"{e.deleted:,}", f"{e.inserted:,}", f"{e.left_alone:,}")
            for e in rollback.entities
        ),
        right=numbers,
    )
    if rollback.conflicts:
        yield plain(
            ("component", "reason", "by run", "records", "first keys"),
            ((c.entity, c.reason, c.by_run or "–", f"{c.records:,}", ", ".join(c.keys)) for c in rollback.conflicts),
            right=("records",),
            title="Left alone",
        )


def state(entity: EntitySummary) -> str:
    if entity.failure:
        return f"{entity.status}: {entity.failure.code}"
    if entity.conserved is False:
        return f"{entity.status}, does NOT add up"
    return entity.status


def _missed(summary: RunSummary) -> Sheet:
    numbers = ("records", "new", "accepted", "share")
    return plain(
        ("component", "reason", *numbers, "tolerated", "first keys", "what to do"),
        (
            (
                c.title,
                c.reason,
                f"{c.records:,}",
                f"{c.new:,}",
                f"{c.accepted:,}",
                percent(c.share),
                f"{c.tolerated or 'none'}{': EXCEEDED' if c.beyond else ''}",
                ", ".join(c.keys),
                c.remedy,
            )
            for c in summary.missed
        ),
        right=numbers,
        title=f"Missed records: {summary.missed_records:,}",
    )
