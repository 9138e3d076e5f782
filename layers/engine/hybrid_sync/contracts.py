"""The messages that cross a state border: keys, counts and pointers, never a row.

Each is a state's input or output, a queue's message or an HTTP body; frozen, closed to unknown fields, far below the
256 KiB that a state may carry.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hybrid_sync.dataclass import dataclass
from hybrid_sync.key_values import GivenPart
from hybrid_sync.key_values import Key as Key

MAX_REFS = 500  # legacy keys in one request; more is a full run of the entity
PageKind = Literal["html", "md"]  # a report as people read it
Act = Literal["sync", "erase", "merge"]  # what is done about the named rows
Portion = Literal["whole", "rows", "end"]  # of an entity: `rows` leaves the end of its first load to a task of its own


class Message(BaseModel):
    # Built when first used: a function meets a few of these, and building all would double its cold start.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _OfRun(Message):
    run_id: str


class _OfEntity(_OfRun):
    entity: str


class Profile(StrEnum):
    weekly = "weekly"
    daily = "daily"
    hourly = "hourly"
    on_demand = "on_demand"
    verify = "verify"


class RunPriority(StrEnum):
    critical = "critical"
    normal = "normal"
    low = "low"


class OnFailure(StrEnum):
    """What happens when a run has failed: nothing, its unverified entities are held, or all it wrote is undone."""

    keep = "keep"
    hold = "hold"
    rollback = "rollback"


class Ref(Message):
    """One legacy row that a request names: identifiers only, the row itself is read from legacy."""

    entity: Annotated[str, Field(pattern="^[a-z_][a-z0-9_]*$")]
    legacy_id: GivenPart | tuple[GivenPart, ...]
    source: str | None = None

    @property
    def key(self) -> Key:
        return (self.legacy_id,) if isinstance(self.legacy_id, int) else tuple(self.legacy_id)


class RunRequest(Message):
    """What a run shall do; the state machine's input.

    Without `entities` and `refs` the whole catalog.  `since`/`until` (ISO 8601) select by `changed_at`; no fence moves.
    """

    run_id: str = ""
    profile: Profile = Profile.weekly
    trigger: str = "hand"
    priority: RunPriority = RunPriority.normal
    entities: tuple[str, ...] = ()
    refs: Annotated[tuple[Ref, ...], Field(max_length=MAX_REFS)] = ()
    act: Act = "sync"
    include: str | None = None
    since: str | None = None
    until: str | None = None
    batch_size: Annotated[int, Field(ge=1, le=50_000)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1)] | None = None
    on_failure: OnFailure = OnFailure.keep
    repair: bool = False  # of a verify run: undo what was changed natively in mapped columns, too
    allow_deletes: tuple[str, ...] = ()  # entities of which a person lets more go than their guard does
    correlation_id: str | None = None
    requested_by: str | None = None
    accepted_at: str | None = None  # ISO 8601, as the gate says


class StartedRun(_OfRun):
    """A request under way: the execution's name is the run id."""

    request: RunRequest


class SyncedKeys(_OfRun):
    """What became of a few keys: the run's outcome, or (`whole`) the request for the whole flow, with a word why."""

    whole: bool
    why: str = ""
    outcome: RunOutcome | None = None
    request: RunRequest | None = None


class PlannedRun(_OfRun):
    """The plan: the first entity of each strand, in waves; the bulk of it stays in the target and in S3."""

    profile: Profile
    waves: tuple[tuple[EntityTask, ...], ...]
    entities: tuple[EntityTask, ...]


class EntityTask(_OfEntity):
    """One entity of a run; what is to be done is the state's own name, and `then` the next one of its strand."""

    then: EntityTask | None = None
    portion: Portion = "whole"


class PlannedEntity(EntityTask):
    """The task, with `batches` key ranges in the manifest; zero means that nothing changed."""

    batches: int
    bucket: str
    manifest: str
    settles: bool = True  # rows may have waited for each other's unique values, or a first load is to end


@dataclass(frozen=True)
class Manifest:
    """Where a plan lies, and how many batches it has."""

    bucket: str
    key: str
    batches: int


class BatchTask(_OfEntity):
    """One key range of one source: the buckets `[lo, hi)` of the first key column; a `critical` one goes before others.

    `buckets` are those that held changed keys at planning, as runs `[first, last]`; `keys` are all that a request or
    the quarantine (`retry`) names; `heal`: what the reconcile found to differ.  Each page is a transaction.
    """

    source: str
    lo: int
    hi: int
    buckets: tuple[tuple[int, int], ...]
    purpose: Literal["changed", "requested", "retry", "heal"] = "changed"
    keys: tuple[Key, ...] | None = None
    page_rows: Annotated[int, Field(ge=1)] = 5_000
    critical: bool = False


class BatchResult(Message):
    """What one batch did, or one page of it; recorded in the page's own transaction.

    `read` counts rows that changed or were asked for, `retried` those that were read because they failed before;
    `healed` are rows that a heal batch wrote, among `inserted` and `updated`, too.
    """

    read: int = 0
    retried: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    excluded: int = 0
    resolved: int = 0
    healed: int = 0

    def plus(self, other: BatchResult) -> BatchResult:
        """The sum of both."""
        return BatchResult(**{name: getattr(self, name) + getattr(other, name) for name in BatchResult.model_fields})


class SegmentTask(_OfEntity):
    """One key range of one source to compare: `[lo, hi)` of the first key column, None is no end."""

    n: int
    source: str
    lo: int | None
    hi: int | None


class ComparedSegment(_OfEntity):
    suspected: int  # keys of the segment that seem to differ


class ReconciledEntity(_OfEntity):
    """What is left to do: `segments` to compare, or else `batches` that heal; the manifest lists them."""

    segments: int = 0
    batches: int = 0
    bucket: str = ""
    manifest: str = ""


class RecheckedEntity(_OfEntity):
    healed: int  # of the differences that the run found
    persisted: int


class SettleTask(_OfRun):
    """Write what unique values kept out of the batches of one entity; or (None) of all, once the run has deleted."""

    entity: str | None = None
    portion: Portion = "whole"


class SettleResult(_OfRun):
    settled: int  # rows that were written and that a unique value had kept out


class LinkTask(_OfRun):
    """Link the references that close a cycle."""


class LinkResult(_OfRun):
    """What one call linked; `more` asks for another call, so that none runs into its time limit."""

    linked: int
    pending: int
    more: bool


class DeleteTask(_OfRun):
    """Delete or mark what legacy no longer has."""


class DeleteResult(_OfRun):
    more: bool  # asks for another call, so that none runs into its time limit


class EntityVerdict(_OfEntity):
    """What verification says of one entity; `more` asks for another call, so that none runs into its time limit."""

    complete: bool = False
    conserved: bool = False
    fence_advanced: bool = False
    more: bool = False


class FailureMessage(_OfEntity):
    """Keys of failed records that wait for a retry; a hint, so it may be late, doubled or out of order."""

    source: str
    reason: str
    at_once: bool = False  # what they waited for is there
    outages: int = 0  # how often it met an outage, or what a person had to mend
    keys: Annotated[tuple[Annotated[Key, Field(min_length=1)], ...], Field(min_length=1, max_length=500)]


class RunFailure(_OfRun):
    """The Catch's data: which state failed, and how."""

    entity: str | None = None
    state: str = ""
    error: str = ""
    cause: str = ""


class ReportRequest(_OfRun):
    failure: RunFailure | None = None


class RunOutcome(_OfRun):
    """The state machine's output: where the report lies, and whether the run kept its promises."""

    status: str
    report: str
    summary: dict[str, Any]


class RollbackTask(_OfRun):
    """Undo the run `run_id`, or go on with it: one call undoes a part, and the same task finds the rest.

    `by_policy`: as its `on_failure` says; `out_of_order`: leave later runs' rows alone; `brief`: somebody waits for it.
    """

    rollback_id: str = ""
    by_policy: bool = False
    out_of_order: bool = False
    brief: bool = False
    requested_by: str | None = None


class UndoneBatch(Message):
    """What undoing one batch did, in rows; `unchanged` were as before the run already."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    conflicts: dict[str, int] = Field(default_factory=dict)

    def plus(self, other: UndoneBatch) -> UndoneBatch:
        """The sum of both."""
        sums = {n: getattr(self, n) + getattr(other, n) for n in ("inserted", "updated", "deleted", "unchanged")}
        return UndoneBatch(**sums, conflicts=dict(Counter(self.conflicts) + Counter(other.conflicts)))


class RollbackOutcome(_OfRun):
    """How far the undo of `run_id` is; `more` asks for another call with the same `rollback_id`."""

    rollback_id: str = ""
    more: bool = False
    undone: UndoneBatch = UndoneBatch()
    failed: tuple[str, ...] = ()  # entities that could not be undone as a whole, such as one whose table is gone
    held: tuple[str, ...] = ()
    report: str = ""
