"""The executive summary: how the run ended, what it means, and the six numbers that matter."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_sync.report.document import Block, Fact, Facts, Text, Tone
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.money import NO_CURRENCY
from hybrid_sync.report.words import NOTHING, age, capital, count, duration, listed, moment, n_of, percent


def verdict(summary: RunSummary) -> tuple[str, Tone]:
    """One or two words, and how they are meant."""
    if summary.status == "running":
        return "Still at work", Tone.quiet
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
    if summary.status == "running":
        yield "The run is still at work; these are the numbers so far."
    elif summary.status != "succeeded":
        broken = [e.title for e in summary.entities if e.status != "verified"]
        yield f"The run {summary.status}." + (f" Not complete: {listed(broken)}." if broken else "")
        yield "What was written before stays, and the next run begins where the incomplete components stopped."
    if summary.success_rate is not None:
        yield (
            f"Of {n_of(summary.due_rows, 'row')} that belong in the target, {count(summary.migrated_rows)} are there: "
            f"{percent(summary.success_rate)}."
        )
    yield _missed(summary)
    if any(e.money for e in summary.entities):
        yield _money(summary)
    if broken := [e.title for e in summary.entities if any(not line.ok for line in e.references)]:
        yield f"References lead nowhere, or were lost, in: {listed(broken)}."


def _missed(summary: RunSummary) -> str:
    if not summary.missed_records:
        return "No record is missed."
    new = sum(cause.new for cause in summary.missed)
    return (
        f"{capital(n_of(summary.missed_records, 'record'))} {'is' if summary.missed_records == 1 else 'are'} missed, "
        f"for {n_of(len(summary.causes), 'cause')}; {count(new) if new else 'none'} of them "
        f"{'are' if new > 1 else 'is'} new in this run."
    )


def _money(summary: RunSummary) -> str:
    wrong = [e.title for e in summary.entities if any(not line.equal for line in e.money)]
    if wrong:
        return f"Money differs between legacy and target in: {listed(wrong)}."
    return f"Money agrees to the last digit on both servers, in {listed(_currencies(summary))}."


def _currencies(summary: RunSummary) -> list[str]:
    return sorted({line.currency for e in summary.entities for line in e.money if line.currency != NO_CURRENCY})


def _facts(summary: RunSummary) -> Iterator[Fact]:
    rate = summary.success_rate
    full = Tone.good if rate == 1.0 else Tone.warning
    yield Fact(
        "Success rate",
        percent(rate),
        f"{count(summary.migrated_rows)} of {count(summary.due_rows)} rows" if rate is not None else "not verified",
        full if rate is not None else Tone.quiet,
    )
    causes = n_of(len(summary.causes), "cause")
    yield Fact(
        "Missed records",
        count(summary.missed_records),
        f"for {causes}" if summary.causes else "nothing in quarantine",
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
