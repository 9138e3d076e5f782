"""Every run leaves pages beside its JSON, one that failed before it began as well."""

from __future__ import annotations

from typing import Any

import psycopg

from hybrid_sync.contracts import ReportRequest, RunFailure
from hybrid_sync.steps.report_run import report_run
from tests.engine.worlds import EngineWorld
from tests.report.records import CATALOG, EQUATION, add_entity, add_run


def test_a_run_leaves_a_page_and_people_are_told_where(store: psycopg.Connection[Any], target_db: str) -> None:
    add_run(store, "r1")
    add_entity(store, "r1", "payments", conservation=EQUATION)
    world = EngineWorld(CATALOG, "", target_db)

    report_run(world, ReportRequest(run_id="r1"))

    assert "87 / 90" in world.reports.pages["r1", "html"]
    assert "| 87 / 90 |" in world.reports.pages["r1", "md"]
    assert world.reports.documents["r1"]["current_rows"] == 87
    [(_, told)] = world.alerts.published
    assert "memory://r1.html" in told


def test_a_run_that_was_never_recorded_leaves_a_page_with_its_failure(
    store: psycopg.Connection[Any], target_db: str
) -> None:
    world = EngineWorld(CATALOG, "", target_db)
    failure = RunFailure(run_id="r9", state="PlanRun", error="catalog_invalid", cause="There is no table <offices>.")

    report_run(world, ReportRequest(run_id="r9", failure=failure))

    assert "catalog_invalid: There is no table &lt;offices&gt;." in world.reports.pages["r9", "html"]


def test_rows_that_nobody_can_explain_are_named_by_key_in_every_format(
    store: psycopg.Connection[Any], target_db: str
) -> None:
    add_run(store, "r1", "running")
    lost = {**EQUATION, "legacy": 103, "missing": 3, "missing_keys": [[7], [8]], "ok": False}
    add_entity(store, "r1", "payments", status="incomplete", conservation=lost)
    world = EngineWorld(CATALOG, "", target_db)

    done = report_run(world, ReportRequest(run_id="r1"))

    sentence = "Unexplained: 3 rows of Payments are neither in the target nor a failed record (2 of 3: 7, 8)."
    assert done.status == "failed"
    for text in (world.reports.pages["r1", "html"], world.reports.pages["r1", "md"], world.alerts.published[0][1]):
        assert sentence in text
