"""What a report says: counts, amounts, keys and codes of one run; no cell values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hybrid_sync.report.money import total

Amount = Annotated[Decimal, Field(allow_inf_nan=True)]
"""Exact; travels as a decimal string.  NaN and infinity are kept, because a report has to show them."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MoneyLine(Part):
    """The sum of one money column in one currency (and status), computed on both servers."""

    column: str
    currency: str
    status: str | None = None
    legacy: Amount
    target: Amount
    equal: bool
    rows: int


class Conservation(Part):
    """Where every legacy row of an entity is; the fields of the verify step's equation."""

    legacy: int
    excluded: int
    failed_absent: int
    failed_present: int
    in_flight: int
    migrated: int
    target: int
    pending_deletes: int
    missing: int
    native: int
    missing_keys: tuple[tuple[int, ...], ...] = ()
    """The first of the missing, by legacy key."""
    ok: bool


class Counts(Part):
    """What the batches of a run did, in rows."""

    read: int = 0
    retried: int = 0
    """Read because they failed before, not because they changed."""
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    excluded: int = 0
    resolved: int = 0


class Failure(Part):
    """A stable code and a sentence."""

    code: str
    text: str


class EntitySummary(Part):
    """One entity in one run.

    `seconds` run from the entity's plan to its last batch; `rows_per_second` are rows read in that time, None
    when nothing was read.  `conservation` and `money` are empty until the entity has been verified.
    """

    entity: str
    title: str
    wave: int
    status: str
    detection: str | None
    detection_reason: str | None
    counts: Counts
    batches_planned: int | None
    batches_done: int
    keys_planned: int | None
    conservation: Conservation | None
    money: tuple[MoneyLine, ...]
    headline: str | None
    """The money column that stands for the entity's financial impact."""
    links_made: int
    links_pending: int
    fence_advanced: bool
    seconds: float | None
    rows_per_second: float | None
    failure: Failure | None

    @property
    def success_rate(self) -> float | None:
        """Migrated rows over the rows that ought to be migrated, 0 to 1; 1 where there are none."""
        if self.conservation is None:
            return None
        due = self.conservation.legacy - self.conservation.excluded
        return self.conservation.migrated / due if due > 0 else 1.0

    @property
    def conserved(self) -> bool | None:
        """Whether rows and money add up; None when that has not been verified."""
        if self.conservation is None:
            return None
        return self.conservation.ok and all(line.equal for line in self.money)

    @property
    def impact(self) -> dict[str, Decimal]:
        """The target's total of the headline column, per currency."""
        return per_currency(line for line in self.money if line.column == self.headline)


class MissedCause(Part):
    """Failed records of one entity that share a reason, as they stand when the summary is made."""

    entity: str
    title: str
    reason: str
    records: int
    absent: int
    """Of these, not in the target at all; the others are there in an older version."""
    new: int
    """Of these, first seen in this run."""
    escalated: int
    ignored: int
    retries: int
    share: float | None
    """Of the entity's legacy rows, 0 to 1."""
    meaning: str
    remedy: str
    retryable: bool
    keys: tuple[str, ...]
    """The first few legacy keys, as `source:key`."""


class WorkerPeak(Part):
    """The largest resident memory that any worker of a function measured of itself."""

    function: str
    workers: int
    peak_rss_mib: float
    memory_mib: int


class StateFailure(Part):
    """A state of the machine that failed, as its Catch recorded it."""

    entity: str | None
    state: str
    error: str
    cause: str


class RunSummary(Part):
    """Everything that a report shows of one run."""

    run_id: str
    profile: str
    trigger: str
    priority: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float
    entities: tuple[EntitySummary, ...]
    missed: tuple[MissedCause, ...]
    workers: tuple[WorkerPeak, ...]
    failures: tuple[StateFailure, ...]

    @property
    def counts(self) -> Counts:
        """The sum over all entities."""
        return Counts(**{name: sum(getattr(e.counts, name) for e in self.entities) for name in Counts.model_fields})

    @property
    def conserved(self) -> bool:
        """There are entities, and of each the rows and the money have been verified and add up."""
        return bool(self.entities) and all(entity.conserved for entity in self.entities)

    @property
    def legacy_rows(self) -> int:
        return sum(e.conservation.legacy for e in self.entities if e.conservation)

    @property
    def pending_deletes(self) -> int:
        return sum(e.conservation.pending_deletes for e in self.entities if e.conservation)

    @property
    def success_rate(self) -> float | None:
        """Over all verified entities, 0 to 1; None when none has been verified."""
        verified = [e.conservation for e in self.entities if e.conservation]
        if not verified:
            return None
        due = sum(c.legacy - c.excluded for c in verified)
        return sum(c.migrated for c in verified) / due if due > 0 else 1.0

    @property
    def missed_records(self) -> int:
        return sum(cause.records for cause in self.missed)


def per_currency(lines: Iterable[MoneyLine]) -> dict[str, Decimal]:
    """Target totals over all statuses, by currency."""
    amounts: dict[str, list[Decimal]] = defaultdict(list)
    for line in lines:
        amounts[line.currency].append(line.target)
    return {currency: total(amounts[currency]) for currency in sorted(amounts)}
