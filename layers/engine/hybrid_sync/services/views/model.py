"""The overview as data: one model behind the page, its JSON and the terminal."""

from __future__ import annotations

from datetime import datetime

from hybrid_sync.contracts import Message
from hybrid_sync.recorded.part import Amount
from hybrid_sync.report.document import Tone

ROWS_GOAL = 0.99
FRESH_GOAL_DAYS = 4
CRITICAL_GOAL_HOURS = 1


class State(Message):
    """How things are, in one sentence with its amounts."""

    tone: Tone
    sentence: str


class Rows(Message):
    """Rows that are in the target as legacy has them, of those that ought to be; as last verified."""

    current: int
    due: int
    stale: int
    absent: int
    entities: int
    """Verified ones, of `known`."""
    known: int
    adds_up: str
    goal: float = ROWS_GOAL

    @property
    def share(self) -> float | None:
        return self.current / self.due if self.due else None


class Money(Message):
    """One currency over the headline columns of all entities."""

    currency: str
    legacy: Amount
    current: Amount
    stale: Amount
    absent: Amount
    equal: bool
    """Both servers say the same, each by two computations."""


class Freshness(Message):
    """How far behind legacy the target is at most."""

    complete_until: datetime | None = None
    """Everything that legacy committed before is in the target or in quarantine; None where an entity was never
    carried as a whole."""
    oldest_entity: str = ""
    critical_seconds: float | None = None
    """The slowest critical sync of the last seven days, from its start to its end; None where there was none."""
    critical_waits_since: datetime | None = None
    """Since when the oldest critical job waits."""


class RunMark(Message):
    """A run in a word."""

    run_id: str
    title: str
    status: str
    at: datetime
    never_began: str = ""
    """What stood in the way of one that the target has no record of."""
    profile: str = ""


class NextRun(Message):
    """When the clock starts the next run; `at` None where its expression says no such time."""

    title: str
    at: datetime | None
    expression: str


class Act(Message):
    """What a person may do about something: `kind` names the action, `of` what it is about."""

    kind: str
    label: str
    of: str


class Need(Message):
    """Something that only a person can settle."""

    tone: Tone
    subject: str
    title: str
    cause: str
    remedy: str
    command: str = ""
    since: datetime | None = None
    last_good: datetime | None = None
    records: int = 0
    act: Act | None = None
    href: str = ""
    """The page with more about it, below the dashboard's root."""


class Lane(Message):
    """One entity of a run that is at work."""

    entity: str
    title: str
    status: str
    planned: int | None
    done: int
    rows: int
    failed: int
    rows_per_second: float | None = None
    compared: int | None = None


class Running(Message):
    """A run at work, or one that waits for its turn."""

    run_id: str
    title: str
    status: str
    priority: str
    started_at: datetime
    place: int | None = None
    """In the queue, from one."""
    waiting_for: tuple[str, ...] = ()
    lanes: tuple[Lane, ...] = ()
    done: int = 0
    planned: int = 0
    rows: int = 0
    failed: int = 0
    rows_per_second: float | None = None
    seconds_left: float | None = None
    """For what is planned; None before anything is."""
    unplanned: int = 0
    """Entities that have no plan yet."""


class Week(Message):
    """One week of the strip; what its weekly runs came to at best."""

    begins: datetime
    status: str
    """Empty where no weekly run began."""
    runs: int
    share: float | None = None
    adds_up: str = ""


class RunLine(Message):
    """A run that has ended, in a row."""

    run_id: str
    title: str
    part: str
    status: str
    started_at: datetime
    seconds: float
    read: int
    new: int
    changed: int
    deleted: int
    failed: int
    new_failures: int | None
    """None where the run kept no report."""
    adds_up: str
    money: tuple[Money, ...] = ()
    undone_by: str | None = None


class Queue(Message):
    """`messages` as the queue says, None where it does not answer; `records` as the table says."""

    name: str
    title: str
    messages: int | None
    records: int
    oldest: datetime | None = None


class Server(Message):
    """A database or a store, and whether it answers."""

    name: str
    ok: bool
    milliseconds: int | None = None
    said: str = ""


class OnDemand(Message):
    """On-demand runs of the last seven days, from their start in the target to their end, in seconds."""

    runs: int
    p50: float | None = None
    p95: float | None = None


class Overview(Message):
    """Everything that an operator has to see first; `away` says why the target was not asked."""

    at: datetime
    away: str = ""
    state: State
    rows: Rows | None = None
    money: tuple[Money, ...] = ()
    freshness: Freshness = Freshness()
    last_run: RunMark | None = None
    next_runs: tuple[NextRun, ...] = ()
    paused: str = ""
    needs: tuple[Need, ...] = ()
    running: tuple[Running, ...] = ()
    weeks: tuple[Week, ...] = ()
    runs: tuple[RunLine, ...] = ()
    queues: tuple[Queue, ...] = ()
    servers: tuple[Server, ...] = ()
    on_demand: OnDemand = OnDemand(runs=0)
