"""What a report says: counts, amounts, keys and codes of one run; no cell values."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import computed_field, model_validator

from hybrid_sync.report.analysis import Cause, MissedCause, MissedRecord
from hybrid_sync.report.checks import Deletes, Reconcile, ReferenceLine, Told
from hybrid_sync.report.history import PastRun
from hybrid_sync.report.money_lines import MoneyLine, over_statuses
from hybrid_sync.report.part import Part
from hybrid_sync.report.rollback import Rollback


class Conservation(Told):
    """Where every legacy row of an entity is, in rows of legacy; the terms of the verify step's equation.

    legacy = current + stale + absent + excluded + in_flight + missing.
    """

    legacy: int
    current: int
    stale: int
    """Failed, and an older version is in the target."""
    absent: int
    """Failed, and not in the target."""
    excluded: int
    in_flight: int
    missing: int
    target: int
    pending_deletes: int
    native: int
    tombstones: int = 0
    """Rows that are marked as deleted in the target."""
    null_keys: int = 0
    """Of the absent, rows without a complete legacy key."""
    doubled: int = 0
    """Of the stale and absent, rows that share their key with another row."""
    missing_keys: tuple[tuple[int, ...], ...] = ()
    """The first of the missing, by legacy key; the same below."""
    failed_keys: tuple[tuple[int, ...], ...] = ()
    ok: bool

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_release(cls, value: Any) -> Any:
        """Releases before counted the stale among `migrated`, and called the terms otherwise."""
        if not isinstance(value, dict) or "current" in value or "migrated" not in value:
            return value
        stale = value["failed_present"]
        return {**value, "current": value["migrated"] - stale, "stale": stale, "absent": value["failed_absent"]}

    @computed_field
    @property
    def migrated(self) -> int:
        """Rows that are in the target as legacy has them."""
        return self.current

    @property
    def failed_absent(self) -> int:
        return self.absent

    @property
    def failed_present(self) -> int:
        return self.stale

    @property
    def due(self) -> int:
        """Rows that ought to be in the target: all but those that a rule excludes."""
        return self.legacy - self.excluded


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
    references: tuple[ReferenceLine, ...] = ()
    """One for each reference column; empty until the entity has been verified."""
    reconcile: Reconcile | None = None
    """None where none ran."""
    deletes: Deletes | None = None
    """None where the run did not look for rows that have gone from legacy."""
    links_made: int
    links_pending: int
    fence_advanced: bool
    complete_until: datetime | None = None
    """Everything that legacy committed before this moment is in the target or in quarantine; None where no run
    has got through the whole entity."""
    seconds: float | None
    rows_per_second: float | None
    failure: Failure | None

    @computed_field
    @property
    def success_rate(self) -> float | None:
        """Migrated rows over the rows that ought to be migrated, 0 to 1; 1 where there are none."""
        if self.conservation is None:
            return None
        due = self.conservation.due
        return self.conservation.migrated / due if due > 0 else 1.0

    @computed_field
    @property
    def conserved(self) -> bool | None:
        """Whether rows, references and money add up, and no difference from legacy is left; None when that was not
        verified."""
        if self.conservation is None:
            return None
        persisted = self.reconcile.persisted if self.reconcile else 0
        referring = all(line.ok for line in self.references)
        return self.conservation.ok and referring and not persisted and all(line.equal for line in self.money)

    @property
    def deleted_rows(self) -> int:
        """Rows that this run has deleted in the target, or marked as deleted."""
        return self.deletes.gone if self.deletes else 0

    @property
    def impact(self) -> dict[str, Decimal]:
        """The target's total of the headline column, per currency."""
        return {line.currency: line.target for line in self.financial_impact}

    @computed_field
    @property
    def financial_impact(self) -> tuple[MoneyLine, ...]:
        """The headline column's totals over all statuses, per currency."""
        return over_statuses(line for line in self.money if line.column == self.headline)


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
    causes: tuple[Cause, ...] = ()
    records: tuple[MissedRecord, ...] = ()
    """The oldest failed records of each cause, oldest first."""
    past: tuple[PastRun, ...] = ()
    """Comparable runs before this one, oldest first."""
    not_looked_at: tuple[str, ...] = ()
    """What this run says nothing about, in sentences."""
    workers: tuple[WorkerPeak, ...]
    failures: tuple[StateFailure, ...]
    rollback: Rollback | None = None
    """What was undone, where the run is a rollback."""

    @property
    def as_of(self) -> datetime:
        """The moment that the numbers describe."""
        return self.finished_at or self.started_at + timedelta(seconds=self.seconds)

    @computed_field
    @property
    def counts(self) -> Counts:
        """The sum over all entities."""
        return Counts(**{name: sum(getattr(e.counts, name) for e in self.entities) for name in Counts.model_fields})

    @computed_field
    @property
    def conserved(self) -> bool:
        """There are entities, and of each the rows, the references and the money have been verified and add up."""
        return bool(self.entities) and all(entity.conserved for entity in self.entities)

    @property
    def verified(self) -> tuple[Conservation, ...]:
        return tuple(e.conservation for e in self.entities if e.conservation)

    @computed_field
    @property
    def legacy_rows(self) -> int:
        return sum(c.legacy for c in self.verified)

    @computed_field
    @property
    def due_rows(self) -> int:
        return sum(c.due for c in self.verified)

    @computed_field
    @property
    def migrated_rows(self) -> int:
        return sum(c.migrated for c in self.verified)

    @computed_field
    @property
    def deleted_rows(self) -> int:
        """Over all entities, deleted or marked as deleted."""
        return sum(entity.deleted_rows for entity in self.entities)

    @computed_field
    @property
    def pending_deletes(self) -> int:
        return sum(c.pending_deletes for c in self.verified)

    @computed_field
    @property
    def success_rate(self) -> float | None:
        """Over all verified entities, 0 to 1; None when none has been verified."""
        if not self.verified:
            return None
        return self.migrated_rows / self.due_rows if self.due_rows > 0 else 1.0

    @computed_field
    @property
    def missed_records(self) -> int:
        return sum(cause.records for cause in self.missed)
