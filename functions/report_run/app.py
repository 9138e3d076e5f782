"""End the run, write its report, notify the people who asked."""

from __future__ import annotations

from hybrid_sync.contracts import ReportRequest
from hybrid_sync.steps.report_run import report_run
from hybrid_sync.steps.whole_report import prepare
from hybrid_sync.wiring import function

prepare()
handler = function(ReportRequest, report_run)
