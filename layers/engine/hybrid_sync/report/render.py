"""A summary as JSON for machines and as Markdown for people: the same numbers, always in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.money import in_words


def to_json(summary: RunSummary) -> str:
    """Sorted keys, amounts as decimal strings; `RunSummary.model_validate_json` reads it back."""
    return json.dumps(summary.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def to_markdown(summary: RunSummary) -> str:
    """Headline, a table per component, missed records with their causes, memory and failures."""
    parts = [_headline(summary), _components(summary), _work(summary), _missed(summary)]
    if any(entity.money for entity in summary.entities):
        parts.append(_money(summary))
    if summary.workers:
        parts.append(_workers(summary))
    if failures := _failures(summary):
        parts.append(failures)
    return "\n\n".join(parts) + "\n"


def percent(share: float | None) -> str:
    """`99.98 %`; a share below one never reads 100 %, and one above zero never 0 %."""
    if share is None:
        return "–"
    shown = f"{share * 100:.2f}"
    if shown == "100.00" and share < 1:
        shown = "99.99"
    if shown == "0.00" and share > 0:
        return "< 0.01 %"
    return f"{shown} %"


def yes_no(answer: bool | None) -> str:
    return "–" if answer is None else "yes" if answer else "NO"


def migrated_of_total(entity: EntitySummary) -> str:
    """`16,102 / 16,165`: rows in the target over rows in legacy that no rule excludes."""
    if entity.conservation is None:
        return "–"
    return f"{entity.conservation.migrated:,} / {entity.conservation.legacy - entity.conservation.excluded:,}"


def impact(entity: EntitySummary) -> str:
    """The headline column's totals, one per currency."""
    return ", ".join(in_words(amount, currency) for currency, amount in entity.impact.items())


def _headline(summary: RunSummary) -> str:
    facts = [
        f"* status: **{summary.status}**, profile {summary.profile}, started by {summary.trigger}",
        f"* started {summary.started_at:%Y-%m-%d %H:%M:%S %Z}, took {summary.seconds:,.1f} s",
        f"* success rate: {percent(summary.success_rate)} of {summary.legacy_rows:,} legacy rows in scope, "
        f"{summary.missed_records:,} missed",
        f"* rows and money add up: {yes_no(summary.conserved)}",
        f"* pending deletes: {summary.pending_deletes:,}",
    ]
    return f"# Run {summary.run_id}\n\n" + "\n".join(facts)


def _components(summary: RunSummary) -> str:
    rows = [
        (
            e.title,
            migrated_of_total(e),
            percent(e.success_rate),
            f"{e.conservation.excluded:,}" if e.conservation else "–",
            f"{e.conservation.pending_deletes:,}" if e.conservation else "–",
            impact(e) or "–",
            yes_no(e.conserved),
            e.failure.text if e.failure else e.status,
        )
        for e in summary.entities
    ]
    head = (
        "component",
        "migrated / total",
        "success",
        "excluded",
        "pending deletes",
        "impact",
        "adds up",
        "status",
    )
    return "## Components\n\n" + _table(head, rows, right={1, 2, 3, 4, 5})


def _work(summary: RunSummary) -> str:
    rows = [
        (
            e.title,
            e.detection or "–",
            *(
                f"{n:,}"
                for n in (e.counts.read, e.counts.retried, e.counts.inserted, e.counts.updated, e.counts.unchanged)
            ),
            f"{e.counts.failed:,}",
            f"{e.batches_done} / {'–' if e.batches_planned is None else e.batches_planned}",
            f"{e.links_pending:,}",
            "–" if e.seconds is None else f"{e.seconds:,.1f}",
            "–" if e.rows_per_second is None else f"{e.rows_per_second:,.0f}",
            yes_no(e.fence_advanced),
        )
        for e in summary.entities
    ]
    head = (
        "component", "read by", "read", "tried again", "inserted", "updated", "unchanged", "failed", "batches",
        "pending links", "seconds", "rows/s", "fence advanced",
    )  # fmt: skip
    return "## Work of this run\n\n" + _table(head, rows, right=set(range(2, 12)))


def _missed(summary: RunSummary) -> str:
    if not summary.missed:
        return "## Missed records\n\nNone."
    rows = [
        (
            c.title,
            c.reason,
            f"{c.records:,}",
            percent(c.share),
            f"{c.records - c.absent:,}",
            f"{c.escalated:,}",
            c.meaning,
            c.remedy,
            ", ".join(c.keys),
        )
        for c in summary.missed
    ]
    head = (
        "component", "reason", "records", "share", "stale in target", "escalated", "meaning", "what to do",
        "first keys",
    )  # fmt: skip
    return "## Missed records\n\n" + _table(head, rows, right={2, 3, 4, 5})


def _money(summary: RunSummary) -> str:
    rows = [
        (
            e.title,
            line.column,
            line.status or "–",
            in_words(line.legacy, line.currency),
            in_words(line.target, line.currency),
            f"{line.rows:,}",
            yes_no(line.equal),
        )
        for e in summary.entities
        for line in e.money
    ]
    return "## Money\n\n" + _table(
        ("component", "column", "status", "legacy", "target", "rows", "equal"), rows, right={3, 4, 5}
    )


def _workers(summary: RunSummary) -> str:
    rows = [(w.function, f"{w.workers}", f"{w.peak_rss_mib:,.1f}", f"{w.memory_mib:,}") for w in summary.workers]
    return "## Memory\n\n" + _table(("function", "workers", "peak MiB", "limit MiB"), rows, right={1, 2, 3})


def _failures(summary: RunSummary) -> str:
    lines = [f"* {e.title}: {e.failure.code}: {e.failure.text}" for e in summary.entities if e.failure]
    lines += [f"* {f.state}{f' ({f.entity})' if f.entity else ''}: {f.error}: {f.cause}" for f in summary.failures]
    return "## Failures\n\n" + "\n".join(lines) if lines else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: set[int]) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in [head, rule, *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
