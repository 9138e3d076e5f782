"""A summary as JSON for machines, as a page and as Markdown for people: the same numbers in all three."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.report.markdown import markdown
from hybrid_sync.report.model import RunSummary, to_json
from hybrid_sync.report.page import page
from hybrid_sync.report.story import story_of
from hybrid_sync.report.words import percent

if TYPE_CHECKING:
    from hybrid_sync.world import Reports

__all__ = ["copy_outside", "percent", "to_both", "to_html", "to_json", "to_markdown"]


def to_both(summary: RunSummary) -> tuple[str, str]:
    """The page and the Markdown of a story that is told once."""
    story = story_of(summary)
    return page(story), markdown(story)


def to_markdown(summary: RunSummary) -> str:
    """Headings and tables, for a ticket or a mail."""
    return markdown(story_of(summary))


def to_html(summary: RunSummary) -> str:
    """One page that needs nothing else: no request, no script."""
    return page(story_of(summary))


def copy_outside(reports: Reports, run_id: str, summary: RunSummary, document: Mapping[str, Any]) -> tuple[str, str]:
    """Keep the report outside the target too, as pages and as a document: where the page and the document lie.

    While the bucket is gone, or refuses us, the target's report has to do, and the first says so: what has to follow on
    a run's end, such as its alert, waits for no person.  Raises AwsUnavailable, after which it is tried again.
    """
    page, text = to_both(summary)
    try:
        shown = reports.write_page(run_id, "html", page)
        reports.write_page(run_id, "md", text)
        return shown, reports.write(run_id, document)
    except ConfigurationMissing as missing:
        return f"hybrid-sync report {run_id}. Done without: {missing}", ""
