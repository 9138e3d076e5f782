"""Answers about run times, index advice and usage: names, counts, seconds and dollars, never a cell's value."""

from __future__ import annotations

from datetime import datetime

from hybrid_sync.contracts import Message


class Bottleneck(Message):
    """What took longer than its work explains; `code` is stable, and `ddl` is empty where no statement helps."""

    code: str
    entity: str = ""
    seconds: float
    share: float
    """Of the time of all calls of the run, 0 to 1."""
    sentence: str
    remedy: str
    ddl: str = ""


class StepLine(Message):
    """One step of an entity (empty: of no single one), over all calls: seconds, and in them the waits for each side."""

    entity: str
    step: str
    calls: int
    seconds: float
    legacy_seconds: float
    target_seconds: float
    messages: int


class SlowStatement(Message):
    """What one step of an entity asks a side, named by the step, over all its messages."""

    side: str
    entity: str
    step: str
    messages: int
    seconds: float
    longest: float


class Performance(Message):
    """Where the time of a run went; `seconds` are those of all calls together, side by side or not."""

    calls: int
    seconds: float
    start_seconds: float
    """Besides: workers that started."""
    sentence: str
    bottlenecks: tuple[Bottleneck, ...]
    steps: tuple[StepLine, ...]
    slowest: tuple[SlowStatement, ...]


class PastTimes(Message):
    """A run of the same profile, in seconds by step."""

    run_id: str
    started_at: datetime
    seconds: float
    steps: dict[str, float]


class PerformanceAnswer(Message):
    run_id: str
    profile: str
    status: str
    started_at: datetime
    performance: Performance
    trend: str
    """In a sentence, against the runs before."""
    past: tuple[PastTimes, ...]
    """This run and those before, the oldest first."""


class Advice(Message):
    """One statement that helps, and why: what is read today, as the planner and the statistics say."""

    side: str
    entity: str
    sentence: str
    evidence: str
    ddl: str
    rows: int
    cost: float
    """Today, in the planner's units."""


class AdviceAnswer(Message):
    """The dearest first; `explained` statements were asked about, `skipped` says of which entities none, and why."""

    advice: tuple[Advice, ...]
    explained: int
    skipped: tuple[str, ...] = ()


class CallerUse(Message):
    """Who asked for runs of single rows or entities; a token goes by its id, never by itself."""

    caller: str
    trigger: str
    runs: int
    rows: int
    """Rows that the requests name."""
    entities: tuple[str, ...]
    last: datetime


class ProfileUse(Message):
    """An entity's part in the runs of one profile."""

    profile: str
    runs: int
    idle: int
    """Runs that changed nothing of it."""
    rows: int
    """Rows that were read."""
    changed: int
    dollars: float


class EntityUse(Message):
    """`asked` are the on-demand runs whose request names rows or the whole of it, for `keys` different rows."""

    entity: str
    asked: int
    keys: int
    profiles: tuple[ProfileUse, ...]
    dollars: float
    advice: str
    """A sentence; empty where its schedule fits."""


class UsageAnswer(Message):
    since: datetime
    days: int
    callers: tuple[CallerUse, ...]
    entities: tuple[EntityUse, ...]
