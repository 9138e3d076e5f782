"""A summary as JSON for machines, as a page and as Markdown for people: the same numbers in all three."""

from __future__ import annotations

import json

from hybrid_sync.report.markdown import markdown
from hybrid_sync.report.model import EntitySummary, RunSummary
from hybrid_sync.report.money import in_words
from hybrid_sync.report.page import page
from hybrid_sync.report.story import story_of
from hybrid_sync.report.story.components import current_of_due
from hybrid_sync.report.words import percent

__all__ = ["current_of_due", "impact", "percent", "to_html", "to_json", "to_markdown"]


def to_json(summary: RunSummary) -> str:
    """Sorted keys, amounts as decimal strings; `RunSummary.model_validate_json` reads it back."""
    return json.dumps(summary.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def to_markdown(summary: RunSummary) -> str:
    """Headings and tables, for a ticket or a mail."""
    return markdown(story_of(summary))


def to_html(summary: RunSummary) -> str:
    """One page that needs nothing else: no request, no script."""
    return page(story_of(summary))


def impact(entity: EntitySummary) -> str:
    """The headline column's totals, one per currency."""
    return ", ".join(in_words(amount, currency) for currency, amount in entity.impact.items())
