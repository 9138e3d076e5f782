"""What matters most about a run, a sentence each: the terminal, the page and the mail say the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hybrid_sync.contracts import Key
from hybrid_sync.key_values import key_text
from hybrid_sync.recorded.money import MoneyLine, over_statuses
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.money import difference, in_words
from hybrid_sync.report.outcome import reasons
from hybrid_sync.report.words import count, listed, n_of, percent


def rate(summary: RunSummary) -> str:
    """The one success rate: `99.98 % (17,226 of 17,229 rows)`."""
    if summary.rows is None:
        return "not verified"
    numbers = f"{count(summary.current_rows)} of {count(summary.due_rows)} rows"
    return numbers if summary.success_rate is None else f"{percent(summary.success_rate)} ({numbers})"


def rows(summary: RunSummary) -> str:
    """Where every row of legacy is."""
    c = summary.rows
    if c is None:
        return "Nothing was verified, so nobody knows where the rows of legacy are."
    unexplained = f" + {count(c.missing)} UNEXPLAINED" if c.missing else ""
    flying = f" + {count(c.in_flight)} in flight" if c.in_flight else ""
    erased = f" ({count(c.erased)} of them erased)" if c.erased else ""
    return (
        f"Rows: {count(c.legacy)} in legacy = {count(c.current)} current + {count(c.stale)} stale + {count(c.absent)} "
        f"absent + {count(c.excluded)} excluded{erased}{flying}{unexplained};"
        f" current of those that are due: {rate(summary)}."
    )


def money(summary: RunSummary) -> Iterator[str]:
    """Every total of which the target does not hold what legacy has; one sentence where all agree."""
    if wrong := [e.title for e in summary.entities if any(not line.equal for line in e.money)]:
        yield f"Money differs between legacy and target in: {listed(wrong)}."
    apart = False
    for e in summary.entities:
        for line in over_statuses(e.money):
            if line.agrees:
                continue
            apart = True
            name = f"{e.title}, {line.column}"
            held = [
                (word, amount, number)
                for word, amount, number in (
                    ("stale", line.stale, line.stale_rows),
                    ("absent", line.absent, line.absent_rows),
                    ("gone from legacy", line.pending_deletes, line.pending_rows),
                )
                if number
            ]
            parts = ", ".join(f"{in_words(a, line.currency)} {word} in {n_of(n, 'row')}" for word, a, n in held)
            why = f"{_explained_by(line)} explain it" if line.equal else "NOT EXPLAINED"
            gone = f"; gone are: {_listed_keys(keys)}" if (keys := _gone_keys(e, line)) else ""
            yield (
                f"Money of {name}: {in_words(line.legacy, line.currency)} in legacy, "
                f"{in_words(line.excluded, line.currency)} of it excluded, {in_words(line.target, line.currency)} in "
                f"the target, {difference(line.missing, line.currency)}; {why}{f' ({parts})' if parts else ''}{gone}."
            )
    if not apart and any(e.money for e in summary.entities):
        left = any(e.reconcile.money_left for e in summary.entities if e.reconcile)
        yield "Money agrees in every sum, and not row by row." if left else "Money agrees to the last digit."
    for e in summary.entities:
        if refs := _with_another_amount(e):
            yield (
                f"Amounts of {e.title} that were changed in the target, and differ from legacy's row by row whatever"
                f" the sums are: {listed(refs)}."
            )


def _explained_by(line: MoneyLine) -> str:
    gone = ["pending deletes"] if line.pending_rows else []
    failed = ["the records that failed"] if line.stale_rows or line.absent_rows or not gone else []
    return listed([*failed, *gone])


def _gone_keys(e: EntitySummary, line: MoneyLine) -> tuple[Key, ...]:
    """The first of the entity's pending deletes, where any of them has an amount of this line."""
    return e.conservation.gone_keys if e.conservation and line.pending_rows else ()


def _listed_keys(keys: Iterable[Key]) -> str:
    return ", ".join(key_text(key) for key in keys)


def _with_another_amount(e: EntitySummary) -> list[str]:
    """Of the rows that differed and stay as they are, the first ones with another amount."""
    columns = {line.column for line in e.money}
    shown = e.reconcile.shown if e.reconcile else ()
    return [
        f"{e.entity}/{d.source}:{','.join(map(str, d.key))}"
        for d in shown
        if d.state == "confirmed" and columns.intersection(d.columns)
    ]


def failed_in_words(summary: RunSummary) -> str:
    """What three numbers that look alike mean: tries of this run, second tries among them, and what is left."""
    counts = summary.counts
    again = f", {count(counts.retried)} of the rows read because they had failed before" if counts.retried else ""
    left = n_of(summary.missed_records, "failed record")
    accepted = f", {count(summary.accepted)} of them accepted by a person" if summary.accepted else ""
    return (
        f"Failures: {n_of(counts.failed, 'try', 'tries')} to write a row failed in this run{again}; {left} "
        f"{'is' if summary.missed_records == 1 else 'are'} left at its end, {count(summary.new_failures)} of them new"
        f"{accepted}."
    )


def unexplained(summary: RunSummary) -> Iterator[str]:
    """Rows of legacy that are nowhere, and nobody knows why; the first of them by key."""
    for e in summary.entities:
        if e.conservation and e.conservation.missing:
            c = e.conservation
            keys = _listed_keys(c.missing_keys)
            shown = f" ({len(c.missing_keys)} of {count(c.missing)}: {keys})" if keys else ""
            rows = f"{n_of(c.missing, 'row')} of {e.title}"
            yield f"Unexplained: {rows} are neither in the target nor a failed record{shown}."


def new_failures(summary: RunSummary) -> Iterator[str]:
    """The failures that this run saw first, without those that were known."""
    for line in summary.missed:
        if line.new:
            yield f"New: {n_of(line.new, 'record')} of {line.title} failed with {line.reason} ({', '.join(line.keys)})."


def beyond(summary: RunSummary) -> Iterator[str]:
    """Why the run is degraded."""
    for reason in reasons(summary) if summary.status == "degraded" else ():
        yield f"Degraded: {reason}"


_ACTED = {
    "erase": (
        "Before it carried anything, the run erased the persons whose rows were named, for good: hybrid-sync erasures"
        " lists what became of their rows."
    ),
    "merge": "Before it carried anything, the run recorded that legacy has merged the persons whose rows were named.",
}


def asked(summary: RunSummary) -> Iterator[str]:
    """What became of each row that was asked for."""
    if acted := _ACTED.get(summary.act):
        yield acted
    for row in summary.asked:
        yield f"Asked for: {row.ref}: {row.in_words}."


def deletes(summary: RunSummary) -> Iterator[str]:
    """How many rows the run deleted or marked as deleted, and where."""
    where = [f"{e.title} {count(e.deleted_rows)}" for e in summary.entities if e.deleted_rows]
    marked = sum(e.deletes.soft for e in summary.entities if e.deletes)
    soft = f", {count(marked)} of them marked" if marked else ""
    yield f"Deleted {count(summary.deleted_rows)} in the target{soft}{': ' + listed(where) if where else ''}."
