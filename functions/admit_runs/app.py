"""Admit runs: for a schedule (when it was due, and its request), for an execution that has ended, for the clock."""

from __future__ import annotations

from hybrid_sync.admission.startable import ScheduledRun
from hybrid_sync.entrypoint import Context, Event, measured, parsed
from hybrid_sync.steps.admit_runs import admit_runs
from hybrid_sync.wiring import world


def handler(event: Event, context: Context) -> None:
    with measured(context):
        admit_runs(world(), parsed(ScheduledRun, event) if "scheduled_at" in event else None)
