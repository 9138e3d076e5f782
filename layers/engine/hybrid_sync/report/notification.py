"""The notification of a run that has ended: a digest when it succeeded, else an alert; counts, keys and amounts."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_sync.alerts import Alert
from hybrid_sync.report.lines import asked, beyond, deletes, failed_in_words, money, new_failures, rows, unexplained
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import run_title


def notification(summary: RunSummary, location: str) -> Alert:
    """What the people who asked for it hear of a run."""
    part = f" (in part: {summary.scope})" if summary.scope else ""
    title = f"{summary.profile.replace('_', ' ')} run {summary.status}"
    head = f"{run_title(summary.profile)}{part}, run {summary.run_id}: {summary.status}."
    end = (f"Report: {location}", f"See: hybrid-sync report {summary.run_id}")
    return Alert(title, (head, *_body(summary), *end), urgent=summary.status != "succeeded")


def _body(summary: RunSummary) -> Iterator[str]:
    for failure in summary.failures:
        entity = f" ({failure.entity})" if failure.entity else ""
        yield f"Failed: {failure.state}{entity}: {failure.error}: {failure.cause}"
    for e in summary.entities:
        if e.failure is not None:
            yield f"{e.title}: {e.failure.text} ({e.failure.code})"
    yield from beyond(summary)
    yield from asked(summary)
    yield from unexplained(summary)
    yield rows(summary)
    yield from money(summary)
    yield failed_in_words(summary)
    yield from new_failures(summary)
    yield from deletes(summary)
