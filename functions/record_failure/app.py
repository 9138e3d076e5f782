"""Turn a failed state into a record of the run."""

from __future__ import annotations

from hybrid_sync.contracts import RunFailure
from hybrid_sync.entrypoint import step
from hybrid_sync.wiring import app


@step(RunFailure, record_peak=lambda **peak: app().record_worker(**peak))
def handler(failure: RunFailure) -> None:
    app().record_failure(failure)
