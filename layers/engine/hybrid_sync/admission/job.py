"""Jobs: a run that somebody has asked for, from the moment it is accepted until it has ended."""

from __future__ import annotations

import hashlib
import json
from dataclasses import field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hybrid_sync.admission.startable import Startable
from hybrid_sync.contracts import Profile, RunPriority, RunRequest
from hybrid_sync.dataclass import dataclass
from hybrid_sync.key_values import MOST_KEYS

LOW_WAITS = timedelta(minutes=30)
"""How much later than it came a low job takes its turn: whatever is accepted after that goes after it."""
BY_HAND = "by hand"
"""The caller of a job whose execution was started past the gate: it answers for nobody else, since it may give up."""
CHECK = "check-"
"""How the id of a check begins: it looks at what is away, and waits for no database."""
SCHEDULED = frozenset({Profile.weekly, Profile.daily, Profile.hourly})


class JobState(StrEnum):
    """`later` jobs wait once their time has come; `merged` ones are answered by another one that waited for the same
    rows; `ending`: the execution has ended, and what it may have left at work in the target is not looked after yet."""

    later = "later"
    waiting = "waiting"
    admitted = "admitted"
    merged = "merged"
    ending = "ending"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"
    lost = "lost"


class Line(StrEnum):
    """Where a job waits; the later lines never take the last slot."""

    critical = "critical"
    scheduled = "scheduled"
    ordinary = "ordinary"


_RANKS = {line: rank for rank, line in enumerate(Line)}


@dataclass(frozen=True)
class Waiting:
    """What the choice of the next job needs to know of one; `place` sorts them."""

    job_id: str
    place: str
    accepted_at: datetime
    work: str = ""
    caller: str = ""

    @property
    def line(self) -> Line:
        return tuple(Line)[int(self.place[0])]

    @property
    def needs_databases(self) -> bool:
        return not self.job_id.startswith(CHECK)


@dataclass(frozen=True)
class Job(Waiting):
    """One job as it is stored; its id is the run's id and the execution's name."""

    request: Startable = field(default_factory=RunRequest)
    state: JobState = JobState.waiting
    starter: str = ""
    """Who marked it as admitted last: each attempt to start it has a name of its own."""
    merged: tuple[str, ...] = ()
    """Jobs that this one answers for, too."""
    into: str = ""
    """The job that answers for this one."""
    outcome: str = ""
    """How its execution ended."""
    cancelled_by: str = ""
    ended_at: datetime | None = None
    why: str = ""
    """Why it has not started although it had its turn, or did not end well."""
    until: datetime | None = None
    """It is not started after that."""
    understood: bool = True
    """Whether this version knows all that the request says; one that it does not know is not started by it."""

    @property
    def may_start(self) -> bool:
        return self.state is JobState.waiting and self.understood

    @property
    def is_few(self) -> bool:
        """Whether one function can carry it, as far as its request says; parents may make it too many."""
        asked = self.request
        return isinstance(asked, RunRequest) and asked.act == "sync" and 0 < len(asked.refs) <= MOST_KEYS

    @property
    def to_start(self) -> Startable:
        """What its execution is given: as urgent as the most urgent one that it answers for."""
        urgent = {"priority": RunPriority.critical} if self.line is Line.critical else {}
        since = {"accepted_at": written(self.accepted_at)} if isinstance(self.request, RunRequest) else {}
        return self.request.model_copy(update={**urgent, **since})

    @property
    def status(self) -> str:
        """As callers know it: waiting, running, merged, or how it ended; `ended` where the run itself knows how."""
        if self.state is JobState.admitted:
            return "running"
        if self.state is JobState.later:
            return "waiting"
        found = self.outcome or str(self.state)
        # The execution of a degraded run has succeeded: of the run that says nothing.
        return "ended" if found == JobState.succeeded else found


def new_job(job_id: str, request: Startable, caller: str, now: datetime) -> Job:
    """A job that begins to wait."""
    asked = request.model_copy(update={"run_id": ""}) if isinstance(request, RunRequest) else request
    return Job(job_id, place_of(asked, now), now, work_of(asked), caller, request=asked)


def place_of(request: Startable, accepted_at: datetime) -> str:
    """Sorts waiting jobs: by line, and within a line by the time of acceptance; low jobs stand some minutes back.

    A place never moves, and time does: only finitely many jobs ever stand before it in its line, so none starves.
    """
    turn = accepted_at + (LOW_WAITS if request.priority is RunPriority.low else timedelta())
    return line_prefix(_line(request)) + written(turn)


def line_prefix(line: Line) -> str:
    """How the place of each job of this line begins."""
    return f"{_RANKS[line]}/"


def _line(request: Startable) -> Line:
    if request.priority is RunPriority.critical:
        return Line.critical
    return Line.scheduled if request.profile in SCHEDULED else Line.ordinary


def work_of(request: Startable) -> str:
    """What is to be done, equal for two requests that one run can serve: all but who asked, why, and how urgently."""
    given = request.model_dump(
        mode="json", exclude={"run_id", "priority", "trigger", "correlation_id", "requested_by", "accepted_at"}
    )
    for name in {"entities", "refs", "allow_deletes"} & given.keys():
        given[name] = sorted({json.dumps(one, sort_keys=True) for one in given[name]})
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:32]


def due(job: Waiting) -> datetime:
    """When a job's turn begins, by its place."""
    return read(job.place.partition("/")[2])


def written(moment: datetime) -> str:
    """As text that sorts like time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(text: str) -> datetime:
    """The moment that was written."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
