"""Service levels, cost, times, advice and use: what is asked; `tuning.model` and others have the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybrid_sync.services.messages import Asked


class LevelsAsked(Asked):
    """Nothing to say."""


class CostAsked(Asked):
    """This month's, or that of one run."""

    run_id: str | None = None


class PerformanceAsked(Asked):
    """Of one run; empty: the last one that has ended and was measured."""

    run_id: Annotated[str, Field(max_length=120)] = ""


class AdviceAsked(Asked):
    """About these entities of the catalog; about all where none is named."""

    entities: Annotated[tuple[str, ...], Field(max_length=200)] = ()


LONGEST = 400
"""Days."""


class UsageAsked(Asked):
    days: Annotated[int, Field(ge=1, le=LONGEST)] = 7
