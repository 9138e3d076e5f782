"""What a month would cost: a model over sizes and schedule, by list prices, before anything is deployed.

Seconds and bytes are rounded up from what the local stack needs, so that a bill is rather less than more; what does not
depend on seconds (transitions, requests, capacity units) follows from the flow.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Literal

from hybrid_sync.contracts import Profile
from hybrid_sync.cost.bill import Usage, times, together
from hybrid_sync.cost.prices import HOURS, Item
from hybrid_sync.cost.standing import standing
from hybrid_sync.dataclass import dataclass
from hybrid_sync.transitions import planned

Schedule = Literal["weekly", "daily", "hourly"]
"""The weekly run alone; with a daily one; with an hourly one of critical entities."""

WEEKS = HOURS / 24 / 7
"""Of a month."""
BATCH_ROWS, SEGMENT_ROWS, PART_ROWS = 5_000, 500_000, 1_000_000
PAGE_IDS = 500
"""Ids in one item of the id map, of 8 kB: two blocks to read, eight to write."""
CALL_SECONDS = 1.0
"""Of a step besides its rows: connections, cold starts, waits of 20 ms each."""
CHECKED_SECONDS = 20e-6
"""Of the row by row work of one side by side comparison and one verification, waiting for both servers."""
WRITTEN_SECONDS = 400e-6
"""Of one changed row, at the third of a processor that 512 MB are."""
LOGGED_GB = 2e-6
"""Of one call: Lambda's own three lines, and ours."""
ROW_GB = 1e-6
"""Of one changed row on its way to the target."""
STEP_GB, WAITED_FOR_GB = 0.5, 1_769 / 1_024
"""Memory of the functions of a run, and of those for which somebody waits."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a project: rows that the weekly run compares, rows that change in a week, critical requests a month."""

    rows: int = 3_500_000
    changes: int = 30_000
    syncs: int = 200
    schedule: Schedule = "weekly"
    entities: int = 23
    critical: int = 15
    """Those that an hourly run carries."""
    waves: int = 6


def month(plan: Plan) -> dict[str, Usage]:
    """What a month uses, by what it is used for."""
    hourly = replace(plan, entities=plan.critical)
    weekly_changes = plan.changes if plan.schedule == "weekly" else plan.changes / 7
    parts: dict[str, Usage] = {
        "weekly runs": times(_run(plan, weekly_changes, plan.rows, Profile.weekly), WEEKS),
        "daily runs": times(_run(plan, plan.changes / 7, 0, Profile.daily), 7 * WEEKS),
        "hourly runs": times(_run(hourly, plan.changes / 168, 0, Profile.hourly), HOURS),
        "critical requests": times(_request(), plan.syncs),
    }
    unused = {"weekly": ("daily runs", "hourly runs"), "daily": ("hourly runs",), "hourly": ("daily runs",)}
    runs = {name: usage for name, usage in parts.items() if name not in unused[plan.schedule]}
    return runs | standing(plan.rows, _hours_with_runs(plan))


def _hours_with_runs(plan: Plan) -> float:
    """A metric is paid for in each hour in which it is written."""
    scheduled = {"weekly": 2 * WEEKS, "daily": 8 * WEEKS, "hourly": HOURS}[plan.schedule]
    return min(HOURS, scheduled + plan.syncs)


def _run(plan: Plan, changes: float, compared: int, profile: Profile) -> Usage:
    """One run of the whole flow."""
    touched = min(plan.entities, ceil(changes))
    batches = touched + int(changes // BATCH_ROWS)
    segments = ceil(compared / SEGMENT_ROWS) if compared > SEGMENT_ROWS else 0
    cut = min(plan.entities, segments)
    calls = _calls(plan.entities, touched, batches, segments, cut, compared)
    led = planned(plan.waves, plan.entities, profile) + plan.entities + 3 * touched
    # AnyBatches; Batches, AnythingToSettle, AnyMore
    led += 2 + plan.entities + 2  # what is left of links, deletes and verification; the end
    led += 2 * plan.entities + cut if compared else 0  # AnySegments, AnyHealing, Segments
    seconds = calls * CALL_SECONDS + compared * CHECKED_SECONDS + changes * WRITTEN_SECONDS
    return {
        Item.lambda_requests: calls,
        Item.lambda_gb_seconds: seconds * STEP_GB,
        Item.transitions: calls + led,
        Item.read_units: changes + compared / PAGE_IDS,  # one for a page, and each changed row in another page
        Item.write_units: (batches + changes / PAGE_IDS) * 8.0 + 20,
        Item.s3_writes: plan.entities * (2 if compared else 1) + 3,
        Item.s3_reads: touched + cut,
        Item.sqs_requests: batches,
        Item.sns_publishes: 1,
        Item.sns_mails: 1,
        Item.secret_calls: 2 * calls,
        Item.traces: 2,
        Item.log_gb: calls * LOGGED_GB,
        Item.log_kept_gb: calls * LOGGED_GB * 3,  # for 90 days
        Item.sent_gb: changes * ROW_GB,
    }


def _calls(entities: int, touched: int, batches: int, segments: int, cut: int, compared: int) -> int:
    """Plan, link, delete, settle, report; of entities plan and verify; of changed ones settle; batches; comparing."""
    comparing = entities + segments + cut if compared else 0
    return 5 + 2 * entities + compared // PART_ROWS + touched + batches + comparing


def _request() -> Usage:
    """One critical request of a row: asking for it, and the one function that carries it, with what it asks of AWS."""
    return together(
        [
            asking(),
            {
                Item.lambda_requests: 1,
                Item.lambda_gb_seconds: 0.5 * WAITED_FOR_GB,
                Item.transitions: 6,
                Item.read_units: 2,
                Item.s3_writes: 3,
                Item.secret_calls: 2,
                Item.traces: 1,
                Item.log_gb: LOGGED_GB,
                Item.log_kept_gb: LOGGED_GB * 3,
                Item.sent_gb: ROW_GB,
            },
        ]
    )


def asking() -> Usage:
    """A request over HTTP and two more for how it does: authorizer, API and admission, which no run counts.

    `tests/integration/test_few_calls.py` has what each asks of AWS.
    """
    calls = 3 + 3 + 1
    return {
        Item.lambda_requests: calls,
        Item.lambda_gb_seconds: (6 * 0.05 + 0.1) * WAITED_FOR_GB,
        Item.read_units: 13,
        Item.write_units: 12,
        Item.secret_calls: 2,
        Item.api_requests: 3,
        Item.traces: 3,
        Item.log_gb: calls * LOGGED_GB,
        Item.log_kept_gb: calls * LOGGED_GB * 3,
    }
