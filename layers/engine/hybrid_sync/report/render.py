"""A summary as JSON for machines, as a page and as Markdown for people: the same numbers in all three."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hybrid_sync.contracts import PageKind
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.report.markdown import markdown
from hybrid_sync.report.model import RunSummary, to_json
from hybrid_sync.report.page import page
from hybrid_sync.report.story import story_of
from hybrid_sync.report.words import percent

__all__ = ["copy_outside", "percent", "to_both", "to_html", "to_json", "to_markdown"]


class Outside(Protocol):
    """Where reports are kept besides the target; as `hybrid_sync.world.Reports`."""

    def write(self, run_id: str, document: Mapping[str, Any]) -> str: ...

    def write_page(self, run_id: str, kind: PageKind, text: str) -> str: ...


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


def copy_outside(outside: Outside, run_id: str, summary: RunSummary, document: Mapping[str, Any]) -> tuple[str, str]:
    """Keep the report outside the target too, as pages and as a document: where the page and the document lie.

    While the bucket is gone, or refuses us, the target's report has to do, and the first says so: what has to follow on
    a run's end, such as its alert, waits for no person.  Raises AwsUnavailable, after which it is tried again.
    """
    page, text = to_both(summary)
    try:
        shown = outside.write_page(run_id, "html", page)
        outside.write_page(run_id, "md", text)
        return shown, outside.write(run_id, document)
    except ConfigurationMissing as missing:
        return f"hybrid-sync report {run_id}. Done without: {missing}", ""
