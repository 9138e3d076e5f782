"""Requests and answers about runs: how they start, how far they are, and how they end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from hybrid_sync.contracts import Message, RunRequest
from hybrid_sync.services.messages import Asked


class OverviewAsked(Asked):
    """Nothing to say."""


class UnrecordedRun(Message):
    """One run, from the state machine and its report in S3 (None where there is none), or a job that waits."""

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    report: dict[str, Any] | None
    why: str = ""
    """Why it waits."""


class StatusAsked(Asked):
    """The recent runs; `retries`: the small ones of the failure queue too; `latest`: which was asked for last."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 10
    retries: bool = False
    latest: bool = False


class Status(Message):
    """`every` are all that the target knows; `ended` became known as lost or cancelled just now; `away`: why the
    target was not asked."""

    runs: tuple[dict[str, Any], ...]
    every: int = 0
    ended: dict[str, str] = Field(default_factory=dict)
    away: str = ""
    latest: str = ""
    """Of these, and of those that wait for their turn; empty where there is none, or nobody asked."""


class RunAsked(Asked):
    run_id: str
    as_ended: bool = True
    """As the run's report says, made when it ended; else as its records are now."""


class RunAnswer(Message):
    """One run: its summary, or what is known of one that the target has no record of."""

    summary: dict[str, Any] | None = None
    unrecorded: UnrecordedRun | None = None
    away: str = ""
    waits_for: tuple[str, ...] = ()
    """While it is at work."""


RunName = Annotated[str, Field(pattern="^[a-z_]{1,20}-[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$")]
"""Profile, time and something random, as in weekly-20261129T010000-4fc1d2; whoever repeats a call repeats it."""


class StartAsked(Asked):
    """`dry_run`: say what would become of it, and start nothing."""

    run_id: RunName
    request: RunRequest
    dry_run: bool = False


class Started(Message):
    """The run starts as soon as it may; in a dry run, `why` it would have to wait."""

    run_id: str
    status: str
    why: str = ""


class Holder(Message):
    """A session that holds a lock for which one of ours waits."""

    pid: int
    user: str
    application: str
    seconds: float
    """How long ours has waited."""

    @property
    def name(self) -> str:
        """Identifies the holder, for as long as it is the same one."""
        of = f" ({self.application})" if self.application else ""
        return f"a lock in the target, held by {self.user or 'another session'}{of}, session {self.pid}"

    @property
    def in_words(self) -> str:
        from hybrid_sync.report.words import duration  # who starts a run needs no report

        end = f"to end that session: select pg_terminate_backend({self.pid})"
        return f"{self.name}, for {duration(self.seconds)}; {end}"


class ProgressAsked(Asked):
    run_id: str


class Step(Message):
    """How far one entity of a run is; `planned` is None before its plan, `compared` where no reconcile has begun."""

    entity: str
    title: str
    status: str
    planned: int | None
    done: int
    rows: int
    failed: int
    reads: bool = True
    """False in a check, which reads no changes."""
    compared: int | None = None
    """Rows whose contents were compared on both sides so far."""
    differing: int | None = None
    """Of these, the rows that differed; None before all are compared."""
    healed: int = 0
    missed: int = 0
    """Rows that the target lacks, or has otherwise than legacy, once they are counted: also of earlier runs, and those
    that a trigger changed, which nobody read."""


class Progress(Message):
    """`status` is waiting, running, succeeded, failed, cancelled or lost; `steps` is None while the target is away.

    `why`: what it waits for, or what ended it.  `run_id` is the run that answers for the one asked for: mostly itself.
    """

    run_id: str
    status: str
    why: str = ""
    never_began: bool = False
    """It was cancelled while it waited: there is nothing to report."""
    steps: tuple[Step, ...] | None
    waits_for: tuple[Holder, ...] = ()
    attempt: str = ""
    """Which one of how many, where a page is tried again."""
    slowed: tuple[str, ...] = ()
    """By whom it is throttled while it is at work."""
