"""Service levels: the mission's measures of success, each met, missed or not measured; the one place that computes
them, for reports, pages, commands and metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.postgres import Connection, together
from hybrid_sync.recorded.levels import Levels as Levels
from hybrid_sync.report.levels.of_data import of_data, of_entities
from hybrid_sync.report.levels.of_service import of_events, of_service
from hybrid_sync.report.levels.records import ask_records
from hybrid_sync.session import Trip

SHOWN_EVENTS = 20


def measure_levels(target: Connection, catalog: Catalog, at: datetime, month: tuple[float, float] | None) -> Levels:
    """As of `at`, from the target's records; `month`: dollars so far and at its end, None where nothing was priced."""
    with together(target) as trip:
        levels = ask_levels(trip, catalog, at)
    return levels(month)


def ask_levels(trip: Trip, catalog: Catalog, at: datetime) -> Callable[[tuple[float, float] | None], Levels]:
    """`measure_levels` in two steps: ask on the trip now; when it is over, call the result with the month."""
    found = ask_records(trip, at)

    def levels(month: tuple[float, float] | None) -> Levels:
        records = found()
        events = of_events(records)
        return Levels(
            at=at, since=records.since, levels=(*of_data(records, catalog), *of_service(records, events, month)),
            entities=of_entities(records, catalog), events=events[:SHOWN_EVENTS],
        )  # fmt: skip

    return levels
