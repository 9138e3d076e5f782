"""What the deployment measures of itself: one table for CloudWatch, its dashboard, `/v1/metrics` and the documentation.

Each is one metric in CloudWatch, with the deployment's name as its only dimension: a metric is paid for by name and
dimensions, in each hour in which it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from hybrid_sync.dataclass import dataclass

NAMESPACE, DIMENSION = "HybridSync", "service"


class Source(StrEnum):
    """When it is written."""

    run = "at the end of each run"
    day = "once a day"
    clock = "every minute in which it is not zero"
    event = "when it happens"


@dataclass(frozen=True)
class Measure:
    """One number; `unit` as CloudWatch calls it."""

    name: str
    unit: str
    source: Source
    says: str

    @property
    def family(self) -> str:
        """Its name in OpenMetrics."""
        return "hybrid_sync" + re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", self.name)


_OF_RUN = (
    ("RowsInserted", "rows that the run has inserted"),
    ("RowsUpdated", "rows that the run has updated"),
    ("RowsUnchanged", "rows that the run has read and found as they should be"),
    ("RowsFailed", "attempts to write a row that have failed"),
    ("RowsExcluded", "rows that a rule of the catalog leaves out"),
    ("RowsDeleted", "rows that the run has deleted, or marked so"),
    ("RowsMissed", "failed records of the run's entities"),
    ("RowsStale", "rows of which the target has an older version"),
    ("RowsUnexplained", "conservation: rows of legacy that are nowhere, and that nothing explains"),
    ("MoneyDifferences", "sums of money, by column, currency and status, that differ unexplained"),
)
MEASURES = (
    *(Measure(name, "Count", Source.run, says) for name, says in _OF_RUN),
    Measure("RunSeconds", "Seconds", Source.run, "from the run's start to its end"),
    Measure("DaysSinceVerifiedWeekly", "Count", Source.day, "days since a weekly run has verified everything"),
    Measure("StalenessDays", "Count", Source.day, "days since the entities were current, on average"),
    Measure("FailedRecords", "Count", Source.day, "failed records that are not resolved"),
    Measure("GoalsMissed", "Count", Source.day, "service levels that are missed"),
    Measure("MonthDollars", "None", Source.day, "what this month has cost so far, by list prices"),
    Measure("ForecastDollars", "None", Source.day, "what this month will have cost at its end"),
    Measure("QueueAgeSeconds", "Seconds", Source.clock, "how long the oldest request waits for its run"),
    Measure("DatabasesAway", "Count", Source.clock, "databases whose circuit breaker is open"),
    Measure("TransientFailures", "Count", Source.event, "calls of functions that failed and are tried again"),
    Measure("PermanentFailures", "Count", Source.event, "calls of functions that failed for good"),
    Measure("TakenOver", "Count", Source.event, "requests of a few rows that took the whole flow, for a wrong setting"),
    Measure("Escalated", "Count", Source.event, "failed records that were given up"),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


def of_run(report: Mapping[str, Any]) -> dict[str, float]:
    """A run's numbers, from its report as a document."""
    entities = report["entities"]
    places = [entity["conservation"] for entity in entities if entity["conservation"]]
    counts = {name: report["counts"][name.removeprefix("Rows").lower()] for name, _ in _OF_RUN[:5]}
    return {
        **counts,
        "RowsDeleted": report["deleted_rows"],
        "RowsMissed": report["missed_records"],
        "RowsStale": sum(place["stale"] for place in places),
        "RowsUnexplained": sum(abs(place["missing"]) for place in places),
        "MoneyDifferences": sum(not line["equal"] for entity in entities for line in entity["money"]),
        "RunSeconds": report["seconds"],
    }
