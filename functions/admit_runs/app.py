"""Admit runs: for a schedule (its input is the run's request), for an execution that has ended, and for the clock."""

from __future__ import annotations

from hybrid_sync.contracts import RunRequest
from hybrid_sync.entrypoint import Context, Event, measured, parsed
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.wiring import world


def handler(event: Event, context: Context) -> None:
    with measured(context):
        admit_runs(world(), parsed(RunRequest, event) if "profile" in event else None)
