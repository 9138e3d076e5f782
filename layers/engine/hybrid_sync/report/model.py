"""What a report says: counts, amounts, keys and codes of one run; no cell values."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

from pydantic import Field, computed_field

from hybrid_sync.contracts import Act, OnFailure
from hybrid_sync.recorded.asked import AskedRow
from hybrid_sync.recorded.checks import Deletes, Reconcile, ReferenceLine
from hybrid_sync.recorded.conservation import Conservation, over_all
from hybrid_sync.recorded.levels import Levels
from hybrid_sync.recorded.money import MoneyLine, over_statuses
from hybrid_sync.recorded.part import Part
from hybrid_sync.report.analysis import Cause, MissedCause, MissedRecord, Undeleted
from hybrid_sync.report.standing import Sum, entity_sum, run_sum
from hybrid_sync.tuning.model import Performance


class PastRun(Part):
    """An earlier run in numbers; what was true at its end."""

    run_id: str
    status: str
    started_at: datetime
    seconds: float
    read: int
    written: int
    failed: int
    due: int | None
    """Legacy rows that no rule excludes; None when nothing was verified."""
    current: int | None
    adds_up: Sum
    missed: dict[str, int] | None
    """Missed records per reason; None where the run kept no report."""

    @computed_field
    @property
    def missed_records(self) -> int | None:
        return None if self.missed is None else sum(self.missed.values())

    @computed_field
    @property
    def success_rate(self) -> float | None:
        return self.current / self.due if self.due and self.current is not None else None


class UndoneEntity(Part):
    """One component, in rows."""

    entity: str
    title: str
    updated: int = 0  # put back as they were
    deleted: int = 0  # because the run had brought them
    inserted: int = 0  # brought back, because the run had deleted them
    unchanged: int = 0  # as before the run already
    conflicts: dict[str, int] = Field(default_factory=dict)  # left alone, by why

    @property
    def left_alone(self) -> int:
        return sum(self.conflicts.values())


class LeftAlone(Part):
    """Rows of one component that were left alone for one reason; `by_run` wrote them since."""

    entity: str
    reason: str
    by_run: str | None
    records: int
    keys: tuple[str, ...]
    """The first of them, as source:key."""


class Rollback(Part):
    """The undo of the run `undoes`; its components are held until somebody releases them."""

    undoes: str
    entities: tuple[UndoneEntity, ...]
    conflicts: tuple[LeftAlone, ...]


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
    warnings: tuple[str, ...] = ()
    """What people should know of how the entity is read, in sentences."""
    hidden_rows: tuple[str, ...] = ()
    """Why rows of the target may be hidden from the run, in sentences."""
    deletes: Deletes | None = None
    """None where the run did not look for rows that have gone from legacy."""
    undeleted: tuple[Undeleted, ...] = ()
    """Rows that the target itself did not let go, by why."""
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
        """Current rows over the rows that ought to be in the target, 0 to 1; None where that is unknown or nothing."""
        return self.conservation.success_rate if self.conservation else None

    @computed_field
    @property
    def adds_up(self) -> Sum:
        """Whether rows, references and money of both sides come to the same."""
        return entity_sum(self.conservation, self.money, self.references, self.reconcile)

    @computed_field
    @property
    def conserved(self) -> bool | None:
        """Whether nothing differs unexplained; None when that was not verified."""
        return None if self.adds_up is Sum.unknown else self.adds_up is not Sum.no

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
    undone_by: str | None = None
    """The rollback that undid this run, or is at it."""
    scope: str = ""
    """Of a run of a part, which part; empty for a run of everything."""
    asked: tuple[AskedRow, ...] = ()
    """What became of each row that the request names."""
    act: Act = "sync"
    on_failure: str = OnFailure.keep
    """What the request wants where it fails."""
    performance: Performance | None = None
    """Where the time went until the report was made; None where nothing was measured."""
    again_at: datetime | None = None
    """When it is started again by itself; None where a person has to, or nobody need."""
    levels: Levels | None = None
    """Service levels when it ended; of scheduled runs and comparisons."""

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
    def adds_up(self) -> str:
        """`yes`, `explained` or `NO`, as of its worst entity; `–` before any is verified, if undone, or a rollback."""
        if self.undone_by is not None or self.profile == "rollback":
            return Sum.unknown
        return run_sum((e.adds_up for e in self.entities), ended=self.status != "running")

    @computed_field
    @property
    def conserved(self) -> bool:
        """There are entities, all have been verified, nothing differs unexplained, and the run was not undone."""
        verified = bool(self.entities) and all(e.conserved for e in self.entities)
        return verified and self.undone_by is None

    @cached_property
    def rows(self) -> Conservation | None:
        """Where all rows of the verified entities are."""
        return over_all(tuple(e.conservation for e in self.entities if e.conservation))

    @computed_field
    @property
    def due_rows(self) -> int:
        return self.rows.due if self.rows else 0

    @computed_field
    @property
    def current_rows(self) -> int:
        return self.rows.current if self.rows else 0

    @computed_field
    @property
    def deleted_rows(self) -> int:
        """Over all entities, deleted or marked as deleted."""
        return sum(entity.deleted_rows for entity in self.entities)

    @computed_field
    @property
    def pending_deletes(self) -> int:
        return self.rows.pending_deletes if self.rows else 0

    @computed_field
    @property
    def success_rate(self) -> float | None:
        """Current rows over due rows of all verified entities, 0 to 1; None where that is unknown or nothing is due."""
        return self.rows.success_rate if self.rows else None

    @property
    def new_failures(self) -> int:
        """Failed records that this run saw first."""
        return sum(cause.new for cause in self.missed)

    @property
    def accepted(self) -> int:
        """Failed records that a person has accepted."""
        return sum(cause.accepted for cause in self.missed)

    @computed_field
    @property
    def missed_records(self) -> int:
        return sum(cause.records for cause in self.missed)


def to_json(summary: RunSummary) -> str:
    """Sorted keys, amounts as decimal strings; `RunSummary.model_validate_json` reads it back."""
    return json.dumps(summary.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
