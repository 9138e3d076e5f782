"""A summary as JSON for machines, as a page and as Markdown for people: the same numbers in all three."""

from __future__ import annotations

from hybrid_sync.report.markdown import markdown
from hybrid_sync.report.model import RunSummary, to_json
from hybrid_sync.report.page import page
from hybrid_sync.report.story import story_of
from hybrid_sync.report.words import percent

__all__ = ["percent", "to_both", "to_html", "to_json", "to_markdown"]


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
