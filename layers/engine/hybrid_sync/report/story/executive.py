"""The executive summary: how the run ended, what it means, and the six numbers that matter."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_sync.failures.again import retry_sentence
from hybrid_sync.report.document import Block, Fact, Facts, Text, Tone
from hybrid_sync.report.lines import asked, money, rows, unexplained
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.money import NO_CURRENCY
from hybrid_sync.report.outcome import reasons
from hybrid_sync.report.words import NOTHING, age, capital, count, duration, listed, moment, n_of, percent


def verdict(summary: RunSummary) -> tuple[str, Tone]:
    """One or two words, and how they are meant."""
    if summary.undone_by is not None:
        return "Rolled back", Tone.bad
    if summary.status == "running":
        return "Still at work", Tone.quiet
    if summary.status == "degraded":
        return "Degraded", Tone.warning
    if summary.status != "succeeded":
        return capital(summary.status), Tone.bad
    if not summary.conserved:
        return "Does not add up", Tone.bad
    if summary.missed_records:
        return "Succeeded, with missed records", Tone.warning
    return "Succeeded", Tone.good


def opening(summary: RunSummary) -> tuple[Block, ...]:
    """A paragraph, then the numbers."""
    return Text(" ".join(_sentences(summary))), Facts(tuple(_facts(summary)))


def _sentences(summary: RunSummary) -> Iterator[str]:
    if summary.undone_by is not None:
        yield f"The run was rolled back by {summary.undone_by}: what follows is what it had done, not what is there."
    elif summary.status == "running":
        yield "The run is still at work; these are the numbers so far."
    elif summary.status == "degraded":
        yield "Everything was verified, but more is missing, stale or left over than the catalog tolerates."
        yield from reasons(summary)
    elif summary.status != "succeeded":
        broken = [e.title for e in summary.entities if e.status != "verified"]
        yield f"The run {_ENDED.get(summary.status, summary.status)}." + (
            f" Not complete: {listed(broken)}." if broken else ""
        )
        yield "What was written before stays, and the next run begins where the incomplete components stopped."
        if again := retry_sentence(summary.run_id, summary.again_at):
            yield f"{again}."
    if summary.scope:
        yield f"It was a run of a part: {summary.scope}."
    yield from asked(summary)
    yield rows(summary)
    yield from unexplained(summary)
    yield _missed(summary)
    yield from money(summary)
    if broken := [e.title for e in summary.entities if any(not line.ok for line in e.references)]:
        yield f"References lead nowhere, or were lost, in: {listed(broken)}."


_ENDED = {"failed": "failed", "cancelled": "was cancelled", "lost": "was lost: its execution ended without a word"}


def _missed(summary: RunSummary) -> str:
    if not summary.missed_records:
        return "No record is missed."
    new = summary.new_failures
    accepted = f"; a person has accepted {count(summary.accepted)}" if summary.accepted else ""
    return (
        f"{capital(n_of(summary.missed_records, 'record'))} {'is' if summary.missed_records == 1 else 'are'} missed, "
        f"for {n_of(len(summary.causes), 'cause')}; {count(new) if new else 'none'} of them "
        f"{'are' if new > 1 else 'is'} new in this run{accepted}."
    )


def _currencies(summary: RunSummary) -> list[str]:
    return sorted({line.currency for e in summary.entities for line in e.money if line.currency != NO_CURRENCY})


def _facts(summary: RunSummary) -> Iterator[Fact]:
    share = summary.success_rate
    full = Tone.good if share == 1.0 else Tone.warning
    yield Fact(
        "Success rate",
        percent(share),
        f"{count(summary.current_rows)} of {count(summary.due_rows)} rows" if summary.rows else "not verified",
        full if share is not None else Tone.quiet,
    )
    causes = n_of(len(summary.causes), "cause")
    yield Fact(
        "Missed records",
        count(summary.missed_records),
        f"{count(summary.new_failures)} new, for {causes}" if summary.causes else "nothing in quarantine",
        Tone.warning if summary.missed_records else Tone.good,
    )
    yield _money_fact(summary)
    counts = summary.counts
    yield Fact(
        "Rows written",
        count(counts.inserted + counts.updated),
        f"{count(counts.inserted)} new, {count(counts.updated)} changed, of {count(counts.read)} read",
    )
    speed = f"{counts.read / summary.seconds:,.0f} rows read per second" if summary.seconds else "just begun"
    yield Fact("Duration", duration(summary.seconds), speed)
    yield _freshness(summary)


def _money_fact(summary: RunSummary) -> Fact:
    lines = [line for e in summary.entities for line in e.money]
    if not lines:
        return Fact("Money", NOTHING, "no amounts were summed", Tone.quiet)
    if wrong := sum(not line.equal for line in lines):
        return Fact("Money", "Differs", f"{wrong} of {n_of(len(lines), 'sum')}", Tone.bad)
    if apart := sum(not line.agrees for line in lines):
        gone = any(line.pending_rows for line in lines)
        failed = any(line.stale_rows or line.absent_rows for line in lines)
        left = [
            word for word, there in (("without what failed", failed), ("with what legacy has no more", gone)) if there
        ]
        note = f"{apart} of {n_of(len(lines), 'sum')} {listed(left)}"
        return Fact("Money", "Not all there" if failed or not gone else "More than in legacy", note, Tone.warning)
    currencies = listed(_currencies(summary))
    return Fact("Money", "Agrees", f"{n_of(len(lines), 'sum')} in {currencies}", Tone.good)


def _freshness(summary: RunSummary) -> Fact:
    known = [e.complete_until for e in summary.entities if e.complete_until is not None]
    if not known:
        return Fact("Complete up to", NOTHING, "no component has been read to its end", Tone.quiet)
    oldest = min(known)
    without = len(summary.entities) - len(known)
    note = f"{age(summary.as_of - oldest)} old when the run ended"
    if without:
        note += f"; {n_of(without, 'component')} not yet complete"
    return Fact("Complete up to", moment(oldest), note, Tone.warning if without else None)
