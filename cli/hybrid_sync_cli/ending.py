"""How a run ended, in about a dozen lines: what is right, what changed most, and last what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import click

from hybrid_sync.recorded.money import MoneyLine
from hybrid_sync.report.analysis import MissedCause
from hybrid_sync.report.lines import asked, beyond, money, rate, unexplained
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.story.components import current_of_due
from hybrid_sync.report.words import count, duration, listed, n_of, status_word
from hybrid_sync_cli import screen, tables

CHANGED_SHOWN = 4
FAILURES_SHOWN = 5
KEYS_SHOWN = 3
_INDENT = "  "


def show(summary: RunSummary) -> None:
    """Print it; the whole report of a rollback, which is short."""
    if summary.rollback is not None:
        tables.report(summary, screen.console())
        return
    for line in ending(summary, screen.width()):
        click.echo(line)


def ending(summary: RunSummary, columns: int | None) -> Iterator[str]:
    """The lines, none broken within a word."""
    for number, sentence in enumerate(_head(summary)):
        yield from screen.wrapped(sentence, columns, _INDENT if number else "")
    yield from _components(summary, columns)
    for sentence in _wrong(summary):
        yield from screen.wrapped(sentence, columns, _INDENT)


def _head(summary: RunSummary) -> Iterator[str]:
    counts = summary.counts
    undone = f" (by {summary.undone_by})" if summary.undone_by else ""
    yield f"Run {summary.run_id}: {status_word(summary.status)}{undone} in {duration(summary.seconds)}"
    if summary.scope:
        yield f"in part: {summary.scope}"
    yield f"current: {rate(summary)}"
    yield f"rows, references and money add up: {summary.adds_up}"
    yield (
        f"read {counts.read:,}, inserted {counts.inserted:,}, updated {counts.updated:,}, "
        f"unchanged {counts.unchanged:,}, deleted {summary.deleted_rows:,}, failed {counts.failed:,}"
    )
    if summary.adds_up == Sum.yes and any(e.money for e in summary.entities):
        yield from money(summary)


def _components(summary: RunSummary, columns: int | None) -> Iterator[str]:
    """Those that went wrong first, then those that changed most; none of which there is nothing to say."""
    notable = sorted(filter(_is_notable, summary.entities), key=lambda e: (not _is_wrong(e), -_written(e), e.title))
    if not notable:
        return
    wrong = sum(map(_is_wrong, notable))
    shown = notable[: max(CHANGED_SHOWN, wrong)]
    heads = ("component", "current / due", "new", "changed", "deleted", "failed", "status")
    rows = [
        (e.title, current_of_due(e), *map(count, (e.counts.inserted, e.counts.updated, e.deleted_rows,
         e.counts.failed)), tables.state(e))
        for e in shown
    ]  # fmt: skip
    sheet = screen.plain(heads, rows, right=heads[1:-1], spare=("current / due",))
    yield from (_INDENT + line.rstrip() for line in sheet.lines((columns or screen.WIDTH_OF_A_FILE) - len(_INDENT)))
    more = notable[len(shown) :]
    rest = f"and {n_of(len(more), 'component')} more with {n_of(sum(map(_written, more)), 'row')}; " if more else ""
    yield f"{_INDENT}{rest}all of it:"
    yield f"{_INDENT}  {screen.program()} report {summary.run_id}"  # whole, to be copied


def _is_notable(e: EntitySummary) -> bool:
    return bool(_written(e) or e.counts.failed or _is_wrong(e))


def _is_wrong(e: EntitySummary) -> bool:
    return e.failure is not None or e.status != "verified" or e.conserved is False


def _written(e: EntitySummary) -> int:
    return e.counts.inserted + e.counts.updated + e.deleted_rows


def _wrong(summary: RunSummary) -> Iterator[str]:
    """Each cause once, with its remedy; failed records that are known and tolerated are counted."""
    yield from asked(summary)
    yield from unexplained(summary)
    yield from _money(summary)
    yield from beyond(summary)
    shown = [line for line in summary.missed if line.new or line.beyond]
    if known := summary.missed_records - sum(line.records for line in shown):
        yield f"{n_of(known, 'failed record')}, known before: {screen.program()} failures"
    for reason in dict.fromkeys(line.reason for line in shown):
        yield _cause([line for line in shown if line.reason == reason])
    yield from _failures(summary)


def _money(summary: RunSummary) -> Iterator[str]:
    """What differs, by sum; where failed records and pending deletes explain all of it, what they are about."""
    if summary.adds_up == Sum.no:
        yield from list(money(summary))[:FAILURES_SHOWN]
        return
    if failed := _sums(summary, lambda line: line.missing + line.pending_deletes):
        yield f"money of the failed records: {failed}"
    if gone := _sums(summary, lambda line: line.pending_deletes):
        yield f"money that the target has, and that is gone from legacy: {gone}"


def _sums(summary: RunSummary, amount: Callable[[MoneyLine], Decimal]) -> str:
    """A sum for each component: one payment may stand in several, and a refund in one hides nothing of another."""
    found: dict[tuple[str, str], Decimal] = {}
    for title, line in ((e.title, line) for e in summary.entities for line in e.financial_impact):
        found[title, line.currency] = found.get((title, line.currency), Decimal()) + amount(line)
    amounts = {place: in_words(total, place[1]) for place, total in sorted(found.items()) if total}
    titles = dict.fromkeys(title for title, _ in amounts)
    sums = [listed([words for (title, _), words in amounts.items() if title == one]) for one in titles]
    if len(titles) == 1:
        return sums[0]
    return "; ".join(f"{words} of {title}" for title, words in zip(titles, sums, strict=True))


def _failures(summary: RunSummary) -> Iterator[str]:
    """What stopped whole states and entities: each cause once, with the entities that it stopped."""
    every: dict[tuple[str, str], list[str]] = {}
    for failure in summary.failures:
        every.setdefault((failure.error, failure.cause), []).append(failure.entity or "the run")
    for e in summary.entities:
        if e.failure is not None:
            every.setdefault((e.failure.code, e.failure.text), []).append(e.entity)
    for (code, text), entities in list(every.items())[:FAILURES_SHOWN]:
        yield f"{code} ({listed(list(dict.fromkeys(entities)))}): {text}"
    if len(every) > FAILURES_SHOWN:
        yield f"and {n_of(len(every) - FAILURES_SHOWN, 'cause')} more, in the report"


def _cause(lines: list[MissedCause]) -> str:
    """`bad_json: 5 of System messages, 2 new (message:17, …): what to do`, over the entities that it strikes."""
    where = [
        f"{line.records:,} of {line.title}{f', {line.new:,} new' if 0 < line.new < line.records else ''}"
        + (f" ({', '.join(line.keys[:KEYS_SHOWN])})" if line.keys else "")
        for line in lines
    ]
    return f"{lines[0].reason}: {listed(where)}: {lines[0].remedy}"
