"""The report of the sample world has a row per component and finds what was planted, under its right cause."""

from __future__ import annotations

import html

from hybrid_sync.report.render import to_json
from hybrid_sync_cli.execution import catalog_of_project
from tests.report.conftest import Sampled


def test_every_planted_defect_stands_under_its_cause(sampled: Sampled) -> None:
    found: dict[str, dict[str, int]] = {}
    for cause in sampled.summary("first").missed:
        found.setdefault(cause.entity, {})[cause.reason] = cause.records
    assert found == sampled.made["planted"]


def test_the_known_defects_are_tolerated_with_a_why(sampled: Sampled) -> None:
    for run_id in ("first", "second"):
        assert sampled.summary(run_id).status == "succeeded"
    assert all(cause.tolerated and cause.why for cause in sampled.summary("first").missed)


def test_every_component_has_its_row_with_rate_money_and_status(sampled: Sampled) -> None:
    summary = sampled.summary("first")
    page = sampled.reports.pages["first", "html"]
    entities = catalog_of_project().entities.values()
    assert {e.entity for e in summary.entities} == {e.entity for e in entities}
    for entity in entities:
        assert f'<th scope="row" role="rowheader">{entity.title[:1].upper()}{entity.title[1:]}</th>' in page
    assert summary.conserved
    assert all(e.financial_impact for e in summary.entities if e.headline)


def test_the_second_week_is_compared_with_the_first(sampled: Sampled) -> None:
    first, second = sampled.summary("first"), sampled.summary("second")
    [before] = second.past
    assert (before.run_id, before.missed_records) == ("first", first.missed_records)
    assert {c.reason: c.before for c in second.causes} == {c.reason: (c.records,) for c in first.causes}


def test_a_weekly_run_tells_that_all_contents_were_compared(sampled: Sampled) -> None:
    assert "Contents compared" in sampled.reports.pages["second", "html"]
    assert all(e.reconcile is not None and e.reconcile.done for e in sampled.summary("second").entities)
    assert "no reconcile ran" not in " ".join(sampled.summary("second").not_looked_at)


def test_no_cell_value_is_in_any_format(sampled: Sampled) -> None:
    page = html.unescape(sampled.reports.pages["first", "html"])
    everything = "".join([page, sampled.reports.pages["first", "md"], to_json(sampled.summary("first"))])
    assert len(sampled.cells) > 500
    assert [cell for cell in sampled.cells if cell in everything] == []
