"""The digest is the report's first page: what mail programs draw, and nothing that they would load or run."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from hybrid_sync.report.document import Facts
from hybrid_sync.report.mail import first_page
from hybrid_sync.report.notification import notification
from hybrid_sync.report.story import story_of
from tests.report.summaries import entity, missed_cause, run


def test_it_says_how_the_run_ended_its_numbers_and_each_cause_with_what_to_do() -> None:
    summary = run()
    html = first_page(summary, ("weekly run failed, since 2026-11-15 01:00 UTC.",))

    assert "<h1" in html and "Weekly sync of 22 November 2026" in html
    assert "Succeeded, with missed records." in html
    [facts] = [block for block in story_of(summary).opening if isinstance(block, Facts)]
    for fact in facts.items:
        assert fact.label in html and fact.value in html
    assert "<b>Missing parent</b>: 3, 1 new. Add the code to <code>values</code>, or repair the row." in html
    assert "<b>Over:</b> weekly run failed, since 2026-11-15 01:00 UTC." in html


def test_nothing_of_it_is_loaded_or_run_and_no_text_becomes_markup() -> None:
    html = first_page(run(missed=(missed_cause(remedy="Correct <img src=x onerror=alert(1)>."),)), ("<script>",))

    assert not re.search(r"<(script|img|style|link|iframe)|https?:|url[(]", html)
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("changed", "has_page"),
    [
        ({}, True),
        ({"status": "degraded"}, True),
        ({"profile": "daily"}, False),
        ({"status": "failed", "again_at": datetime(2026, 11, 22, 1, 15, tzinfo=UTC)}, False),  # not the week's end
    ],
)
def test_a_weeks_sync_has_a_digest_when_it_has_ended_however_it_ended(
    changed: dict[str, object], has_page: bool
) -> None:
    alert = notification(run(entities=(entity(),), **changed), "s3://data/reports/weekly-3.html")

    assert bool(alert.page) is has_page
    assert alert.urgent is (changed.get("status", "succeeded") != "succeeded")
