"""End the run, write its report, tell the people who asked."""

from __future__ import annotations

from hybrid_sync.contracts import ReportRequest, RunOutcome
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(ReportRequest, record_peak=lambda **peak: app().record_worker(**peak))
def handler(request: ReportRequest) -> RunOutcome:
    return app().report_run(request)
