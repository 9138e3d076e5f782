"""What a deployment costs whether anything runs or not: its clocks, alarms, dashboard, secrets and what it keeps."""

from __future__ import annotations

from hybrid_sync.cost.bill import Usage
from hybrid_sync.cost.prices import HOURS, Item
from hybrid_sync.measures import MEASURES, Measure, Source

ALARMS, DASHBOARDS, SECRETS, KEPT_WARM = 17, 1, 3, 4
"""As many as the template has; a check compares."""
TROUBLED_HOURS = 24
"""In which what is measured in trouble alone is written."""

_TICKS = HOURS * 60
_WARM_TICKS = HOURS * 12 * KEPT_WARM
_LOGGED_GB = 1e-6
_PAGE_GB = 8.2e-6
_PAGE_IDS = 500
_WAITED_FOR_GB = 1_769 / 1_024


def standing(rows: int, hours_with_runs: float) -> dict[str, Usage]:
    """For a month in which runs are at work in so many hours, and so many rows are mapped."""
    map_gb = rows / _PAGE_IDS * _PAGE_GB
    return {
        "clocks": {
            Item.lambda_requests: _TICKS + _WARM_TICKS,
            Item.lambda_gb_seconds: (_TICKS * 0.02 + _WARM_TICKS * 0.005) * _WAITED_FOR_GB,
            Item.read_units: _TICKS * 2.5,
            Item.schedule_ticks: _TICKS + _WARM_TICKS,
            Item.traces: _TICKS + _WARM_TICKS,
            Item.log_gb: (_TICKS + _WARM_TICKS) * _LOGGED_GB,
            Item.log_kept_gb: (_TICKS + _WARM_TICKS) * _LOGGED_GB * 3,
        },
        "watching": {
            Item.metrics: sum(_hours(measure, hours_with_runs) for measure in MEASURES) / HOURS,
            Item.alarms: ALARMS,
            Item.dashboards: DASHBOARDS,
        },
        "keeping": {
            Item.table_gb: map_gb,
            Item.table_backup_gb: map_gb,
            Item.s3_gb: 2,
            Item.secrets: SECRETS,
        },
    }


def _hours(measure: Measure, with_runs: float) -> float:
    """In which it is written."""
    match measure.source:
        case Source.run:
            return with_runs
        case Source.day:
            return HOURS / 24
        case _:
            return TROUBLED_HOURS
