"""The notification of a run that has ended: a digest when it succeeded, else an alert; counts, keys and amounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from hybrid_sync.alerts import Alert
from hybrid_sync.contracts import Profile
from hybrid_sync.errors import PartMissing
from hybrid_sync.failures.again import attempt, retry_sentence
from hybrid_sync.report.lines import asked, beyond, deletes, failed_in_words, money, new_failures, rows, unexplained
from hybrid_sync.report.mail import first_page
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.words import moment, run_title

Over = Sequence[tuple[str, datetime]]
"""Titles of alerts that were sent and are over by now, with since when it was so."""


def cause_of(profile: str) -> str:
    """What begins with it is over as soon as such a run ends well."""
    return f"run:{profile}:"


def notification(summary: RunSummary, location: str, over: Over = ()) -> Alert:
    """What the people who asked for it hear of a run."""
    part = f" (in part: {summary.scope})" if summary.scope else ""
    which = f", attempt {n}" if (n := attempt(summary.run_id)) > 1 else ""
    title = f"{summary.profile.replace('_', ' ')} run {summary.status}{which}"
    head = f"{run_title(summary.profile)}{part}, run {summary.run_id}{which}: {summary.status}."
    again = [retry_sentence(summary.run_id, summary.again_at)] if summary.again_at else []
    ended = tuple(f"{what}, since {moment(since)}." for what, since in over)
    above = (head, *again, *(f"Over: {one}" for one in ended))
    urgent = summary.status != "succeeded"
    return Alert(
        title, (*above, *_body(summary), f"Report: {location}"), urgent=urgent,
        cause=f"{cause_of(summary.profile)}{_trouble(summary)}" if urgent else "",
        entities=_troubled(summary),
        new=summary.new_failures, known=summary.missed_records - summary.new_failures,
        money=tuple(money(summary)), remedy=_remedy(summary), command=f"hybrid-sync report {summary.run_id}",
        path=f"runs/{summary.run_id}", page=first_page(summary, ended) if _is_the_weeks(summary) else "",
    )  # fmt: skip


def _is_the_weeks(summary: RunSummary) -> bool:
    """The end of a week's sync, however it ended; one that starts again by itself is not at its end."""
    return summary.profile == Profile.weekly and not summary.again_at


def _troubled(summary: RunSummary) -> tuple[str, ...]:
    """The entities that somebody has to look at."""
    beyond_limit = {line.entity for line in summary.missed if line.beyond}
    return tuple(e.entity for e in summary.entities if e.failure or e.status != "verified" or e.entity in beyond_limit)


def _trouble(summary: RunSummary) -> str:
    """What went wrong, said the same the next time: status, codes and entities; of single rows, the run itself."""
    codes = sorted({f"{f.entity or ''}/{f.error}" for f in summary.failures})
    codes += sorted(f"{e.entity}/{e.failure.code}" for e in summary.entities if e.failure is not None)
    codes += sorted(f"{line.entity}/{line.reason}" for line in summary.missed if line.beyond)
    cause = f"{summary.status}:{','.join(codes)}"
    if summary.again_at:  # that it does not start again any more is news, though the cause is the same
        return f"{cause}:again"
    return f"{cause}:{summary.run_id}" if summary.asked else cause


def _remedy(summary: RunSummary) -> str:
    """Of the largest cause; of a run that broke off, to settle that and go on."""
    if summary.again_at:
        return "Nothing yet, for it tries again by itself; if you can, settle what is named above."
    if summary.failures or any(e.failure is not None for e in summary.entities):
        return "Settle what is named above, then run again: a run goes on with what is left."
    beyond_limit = [line for line in summary.missed if line.beyond]
    return max(beyond_limit, key=lambda line: line.records).remedy if beyond_limit else ""


def _body(summary: RunSummary) -> Iterator[str]:
    for failure in summary.failures:
        entity = f" ({failure.entity})" if failure.entity else ""
        yield f"Failed: {failure.state}{entity}: {failure.error}: {failure.cause}"
    for e in summary.entities:
        if e.failure is not None:
            yield f"{e.title}: {e.failure.text} ({e.failure.code})"
    missing = (said for e in summary.entities for said in e.warnings if PartMissing.mark in said)
    yield from dict.fromkeys(f"Done without: {said}" for said in missing)
    yield from beyond(summary)
    yield from asked(summary)
    yield from unexplained(summary)
    yield rows(summary)
    yield from money(summary)
    yield failed_in_words(summary)
    yield from new_failures(summary)
    yield from deletes(summary)
