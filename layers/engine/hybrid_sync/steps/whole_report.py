"""What the report of a whole run has besides: where its time went, service levels, the month's cost, metrics.

A rollback, a retry and a few keys report without it, or when their rows are there; who reports whole runs loads it
first.
"""

from __future__ import annotations

from hybrid_sync.contracts import RunOutcome
from hybrid_sync.cost.answer import Cost, ItemCost
from hybrid_sync.measures import of_run
from hybrid_sync.recorded.checks import ReferenceLine
from hybrid_sync.recorded.conservation import Conservation
from hybrid_sync.recorded.levels import EntityLevel, Level, Levels
from hybrid_sync.recorded.money import MoneyLine
from hybrid_sync.report import model, page
from hybrid_sync.report.levels import ask_levels
from hybrid_sync.services.priced import ask_month
from hybrid_sync.tuning.performance import AskedPerformance

__all__ = ["AskedPerformance", "ask_levels", "ask_month", "of_run", "prepare"]

_SAID = (
    model.Counts, model.EntitySummary, model.PastRun, model.RunSummary, Conservation, MoneyLine, ReferenceLine, Level,
    EntityLevel, Levels, ItemCost, Cost, RunOutcome,
)  # fmt: skip
"""What a report is made of; each is built when it is first used, unless it was before."""


def prepare() -> None:
    """Do now what the first report would else do while a run waits for it: compile the page, build the models."""
    page.prepare()
    for one in _SAID:
        one.model_rebuild()
