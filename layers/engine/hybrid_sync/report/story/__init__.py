"""The report of a run as people of the business read it, section by section."""

from __future__ import annotations

from hybrid_sync.report.document import Document, Section, Text, Tone
from hybrid_sync.report.model import RunSummary
from hybrid_sync.report.story.components import components
from hybrid_sync.report.story.contents import contents, deletes
from hybrid_sync.report.story.executive import opening, verdict
from hybrid_sync.report.story.history import history
from hybrid_sync.report.story.limits import failures, limits, workers
from hybrid_sync.report.story.missed import missed
from hybrid_sync.report.story.money import money
from hybrid_sync.report.story.performance import performance
from hybrid_sync.report.story.references import references
from hybrid_sync.report.story.rollback import rollback_story
from hybrid_sync.report.story.work import freshness, throughput
from hybrid_sync.report.words import capital, day, moment, run_title


def title(summary: RunSummary) -> str:
    """`Weekly sync of 22 November 2026`; a part is called one."""
    part = f", in part: {summary.scope}" if summary.scope else ""
    return f"{run_title(summary.profile)} of {day(summary.started_at)}{part}"


def story_of(summary: RunSummary) -> Document:
    """The whole story; sections that have nothing to say are left out."""
    if summary.rollback is not None:
        return rollback_story(summary, summary.rollback)
    from hybrid_sync.report.story.levels import service_levels  # what rollbacks do not need

    word, tone = verdict(summary)
    sections = (
        failures(summary),
        components(summary),
        missed(summary),
        money(summary),
        references(summary),
        contents(summary),
        deletes(summary),
        history(summary),
        throughput(summary),
        performance(summary),
        freshness(summary),
        service_levels(summary),
        limits(summary),
        workers(summary),
    )
    return Document(
        title=title(summary),
        run_id=summary.run_id,
        subtitle=f"Run {summary.run_id}, started {moment(summary.started_at)} by {summary.trigger}",
        verdict=word,
        tone=tone,
        opening=opening(summary),
        sections=tuple(section for section in sections if section is not None),
    )


def never_began(run_id: str, code: str, text: str, status: str = "failed", again: str = "") -> Document:
    """The report of a run that ended before it was recorded: there is nothing to count.  `again`: what it does next."""
    return Document(
        title="A run that did not begin",
        run_id=run_id,
        subtitle=f"Run {run_id}",
        verdict=capital(status),
        tone=Tone.bad,
        opening=(Text(f"The run ended before anything was read or written. {again}".rstrip()),),
        sections=(Section("failures", "What went wrong", (Text(f"{code}: {text}"),)),),
    )
