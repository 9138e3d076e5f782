"""The gate: everything that starts a run is a job here first.

No process of its own does the work: whoever adds a job, hears of an ended execution or is woken by the clock admits
what may start.  Each of them may be killed between any two requests to AWS, or be arbitrarily late; `slots` has the
proof that no more than MaxRuns runs are at work all the same.  What a killed one leaves half done, the next one
finishes: a job in the item `slots` without an execution is started again under its own name.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.executions import Executions
from hybrid_sync.admission.job import BY_HAND, Job, JobState, Line, Waiting, line_prefix, new_job
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.admission.later import Later
from hybrid_sync.admission.order import Slots, next_job, why_it_waits
from hybrid_sync.admission.scheduled import CALLER
from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.admission.startable import Startable
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import RequestConflicts, RequestRejected, SyncError, no_such_run

_ATTEMPTS = 200
"""To write the item `slots` before the rest is left to the clock: of each that fails, somebody else's has succeeded."""


_MOST_LISTED = 200


@dataclass(frozen=True)
class Standing:
    """A job and, while it waits, its place in the queue (from one) and why it waits."""

    job: Job
    place: int | None = None
    why: str = ""


class Gate:
    """The jobs and slots of one deployment; `away` says why no run may start, of a few keys or another, or nothing."""

    def __init__(
        self, jobs: JobStore, slots: SlotStore, executions: Executions, bounds: Bounds, now: Callable[[], datetime],
        away: Callable[[bool], str] = lambda few: "",
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._slots = slots
        self._executions = executions
        self._bounds = bounds
        self._now = now
        self._later = Later(jobs, now)
        self._away = away

    def add(self, request: Startable, job_id: str, caller: str) -> Job:
        """Accept a job, once for each id, and admit what may start; what it answers with is stored.

        Raises RequestConflicts where the id belongs to another request, QueueFull where too many wait.
        """
        job = new_job(job_id, request, caller, self._now())
        known = self._jobs.get(job_id)
        fresh = [job] if known is None else []
        if known is None:
            waiting = self._jobs.waiting()
            twin = self._merged(job, waiting)
            if twin is not None:
                fresh = [twin]
            else:
                self._bounds.require_room(job, waiting)
                if not self._jobs.put(job):
                    known = self._get(job_id)
            if caller == CALLER:
                self._later.needless(job)
        if known is not None and known.understood and known.request != job.request:
            raise RequestConflicts(
                "This idempotency key was used for a different request.", "Send a new Idempotency-Key."
            )
        self._carry_on(fresh)
        stored = self._get(job_id)
        if stored.state is JobState.waiting and stored.line is Line.critical:
            self._carry_on(fresh, tend=True)  # the event of an ended execution may be late, or may never come
            stored = self._get(job_id)
        return stored

    def start_again(self, job: Job, job_id: str, at: datetime, until: datetime) -> None:
        """Let the work of a job that has failed wait for its next attempt; once for each id.

        It is a job like every other from then on: whoever cancels it, pauses starts or does the same work is heeded.
        """
        self._later.add(job.request, job_id, job.caller, at, until, f"at {at:%Y-%m-%d %H:%M} UTC: {job.job_id} failed")

    def preview(self, request: Startable) -> str:
        """Why a job of this request would wait now; empty if it would start at once."""
        job = new_job("", request, "", self._now())
        if away := self._away_for(job):
            return away
        slots, waiting = self._slots.read(), self._jobs.waiting()
        twin = next((one for one in waiting if one.work == job.work and one.caller != BY_HAND), None)
        if twin is not None:
            return f"{twin.job_id} waits for the same rows, and would answer for it."
        if next_job([*waiting, job], slots, self._bounds.runs, self._now()) is job:
            return ""
        place = 1 + sum(one.place < job.place for one in waiting)
        return why_it_waits(job, place, slots, self._bounds.runs)

    def admit(self, fresh: Collection[Waiting] = (), *, tend: bool = False) -> list[str]:
        """Start what may start; the ids of the jobs that this call has started.

        `fresh` jobs may be too new for the index.  `tend`: look after the slots first.  Raises what refused a start for
        certain, once everything else is done: the job waits again and says why.
        """
        refused = self._tend() if tend else []
        started: list[str] = []
        passed: set[str] = set()
        for _ in range(_ATTEMPTS):
            slots = self._slots.read()
            if slots.closed(self._bounds.runs):
                break  # who waits need not be asked
            known = {job.job_id: job for job in (*self._jobs.waiting(), *fresh)}
            waiting = [job for job in known.values() if job.job_id not in passed and job.job_id not in slots.holders]
            if waiting and self._away(True):  # and so is it for whoever has more than a few keys
                waiting = [job for job in waiting if not job.needs_databases]
            chosen = next_job(waiting, slots, self._bounds.runs, self._now())
            if chosen is None:
                break
            job = self._jobs.get(chosen.job_id)  # only after the slots were read: the proof needs this order
            if job is None or not job.may_start or self._gave_up(job) or self._later.dropped(job):
                passed.add(chosen.job_id)
                continue
            if self._away_for(job):
                passed.add(chosen.job_id)
                continue
            starter = secrets.token_hex(6)
            if self._slots.claim(slots, job, self._bounds.runs, starter) and self._start(job, starter, only=True):
                started.append(job.job_id)
                if len(waiting) == 1:  # who has added another one meanwhile admits it
                    break
        for error in refused:
            raise error
        return started

    def cancel(self, job_id: str, who: str) -> Job:
        """End the job in whatever state it is; RunNotFound where there is none.

        A job that answers for others is theirs too: these wait again.  One that another answers for leaves that one be.
        """
        while True:
            job = self._get(job_id)
            for other in job.merged:
                self._jobs.part(other)
            if job.state in (JobState.later, JobState.waiting, JobState.merged):
                if not self._jobs.cancel(job, who, self._now()):
                    continue
                self._executions.stop(job_id)  # where it was started past the gate, and waits in its first state
            elif job.state is JobState.admitted:
                if not self._jobs.ask_cancel(job_id, who):
                    continue
                self._stop(job)
            self._carry_on(tend=True)
            return self._get(job_id)

    def pause(self, words: str) -> None:
        """Keep jobs and start none; `words` say who has said so, and why."""
        self._slots.pause(words)

    def resume(self) -> list[str]:
        """Start jobs again; those that start at once."""
        self._slots.pause("")
        return self.admit(tend=True)

    def standing(self, job_id: str) -> Standing:
        """How a job is; a merged one stands as the one that answers for it.  RunNotFound where there is none."""
        job = self._get(job_id)
        if job.state is JobState.merged:
            return Standing(job, *self._why(self._get(job.into)))
        return Standing(job, *self._why(job))

    def at_work(self) -> tuple[list[Standing], int, Slots]:
        """Jobs that have not ended, the first of each state: those that run, then those that wait, by place, then those
        whose time has not come; how many wait in all; and the slots."""
        waiting = self._jobs.waiting()
        ids = [*self._jobs.ids(JobState.admitted), *self._jobs.ids(JobState.ending)]
        ids += [job.job_id for job in (*waiting[:_MOST_LISTED], *self._jobs.later())]
        jobs = [job for job_id in ids if (job := self._jobs.get(job_id)) is not None]
        return [Standing(job, *self._why(job)) for job in jobs], len(waiting), self._slots.read()

    def last_ill(self) -> Job | None:
        """The scheduled job that was accepted last of those whose execution failed or was lost; None where none was."""
        states = (JobState.failed, JobState.lost)
        ids = [self._jobs.newest(state, line_prefix(Line.scheduled)) for state in states]
        jobs = [job for job_id in ids if job_id and (job := self._jobs.get(job_id)) is not None]
        return max(jobs, key=lambda job: job.accepted_at, default=None)

    def oldest_wait(self) -> timedelta:
        """How long the oldest waiting job has waited; zero where none waits."""
        return max((self._now() - job.accepted_at for job in self._jobs.waiting()), default=timedelta())

    def unsettled(self) -> list[Job]:
        """Jobs whose execution has ended otherwise than well: the target may still have them at work."""
        return [job for job_id in self._jobs.ids(JobState.ending) if (job := self._jobs.get(job_id)) is not None]

    def stop_redriven(self, jobs: Iterable[Job]) -> None:
        """Stop those whose execution goes on: their slots are free, and a redrive does not come through the entry."""
        for job in jobs:
            if self._executions.status(job.job_id) == "running":
                self._executions.stop(job.job_id)

    def settled(self, job: Job) -> None:
        """What such a job has left at work is looked after."""
        self._jobs.end(job.job_id, job.outcome, self._now(), settled=True)

    def _carry_on(self, fresh: Collection[Waiting] = (), *, tend: bool = False) -> None:
        """Admit; what fails here is not the caller's, and the clock meets it within a minute."""
        with suppress(SyncError):
            self.admit(fresh, tend=tend)

    def _start(self, job: Job, starter: str, *, only: bool) -> bool:
        """Begin the execution of a job in a slot that is `starter`'s; `only`: nobody has tried to before."""
        if not self._jobs.mark_admitted(job.job_id, starter):
            self._slots.free(job.job_id, starter)  # cancelled in time, or ended: nobody begins it any more
            return False
        try:
            self._executions.begin(job.to_start, job.job_id)
        except RequestRejected as error:  # whoever tries, it is refused
            self._jobs.end(job.job_id, "failed", self._now(), str(error), settled=True)
            self._free_unless_begun(job.job_id)
            return False
        except SyncError as error:
            if error.transient:
                return False  # it may have begun: the slot stays, and whoever comes next begins it again
            if only and self._jobs.wait_again(job.job_id, starter, str(error)):
                self._free_unless_begun(job.job_id, starter)
            raise
        return True

    def _free_unless_begun(self, job_id: str, starter: str | None = None) -> None:
        """Free the slot after a refused start, unless somebody has started an execution of this name by hand."""
        if self._executions.status(job_id) is None:
            self._slots.free(job_id, starter)

    def _gave_up(self, job: Job) -> bool:
        """Whether it was started by hand, and its execution has ended before its turn came: then so has the job."""
        status = self._executions.status(job.job_id) if job.caller == BY_HAND else None
        if status in (None, "running"):
            return False
        self._jobs.end(job.job_id, status, self._now(), settled=True)
        return True

    def _stop(self, job: Job) -> None:
        """Stop its execution.  One that was never begun is begun first, so that no late starter can begin it."""
        if not self._executions.stop(job.job_id):
            self._executions.begin(job.to_start, job.job_id)
            self._executions.stop(job.job_id)

    def _tend(self) -> list[SyncError]:
        """Look after each slot, then wake whose time has come; what was in the way keeps none of the others."""
        refused = []
        for job_id in self._slots.read().holders:
            try:
                self._tend_one(job_id)
            except SyncError as error:
                refused.append(error)
        self._later.wake(self._works)
        return refused

    def _works(self) -> set[str]:
        """What those who hold a slot work on."""
        held = [self._jobs.get(job_id) for job_id in self._slots.read().holders]
        return {job.work for job in held if job is not None}

    def _tend_one(self, job_id: str) -> None:
        """Free the slot of an execution that has ended; start what was claimed and never started."""
        job, status = self._jobs.get(job_id), self._executions.status(job_id)
        if job is not None and job.state is JobState.admitted and job.cancelled_by and status in (None, "running"):
            self._stop(job)
            status = self._executions.status(job_id)
        if job is None or (job.state is JobState.cancelled and status is None):
            self._slots.free(job_id)  # it has ended before anybody might start it
        elif status is None:
            slots, starter = self._slots.read(), secrets.token_hex(6)
            if job.understood and not slots.paused and self._slots.take_over(slots, job_id, starter):
                self._start(job, starter, only=False)
        elif status != "running":
            for other in job.merged:
                self._jobs.end_merged(other, status, self._now())
            self._jobs.end(job_id, status, self._now(), settled=status == "succeeded")
            self._slots.free(job_id)
            if status == "succeeded" and job.line is Line.scheduled:
                self._later.needless(job)

    def _merged(self, job: Job, waiting: Collection[Waiting]) -> Job | None:
        """The waiting job that answers for this one, too."""
        for twin in waiting:
            same = twin.work == job.work and twin.job_id != job.job_id and twin.caller != BY_HAND
            if same and self._jobs.merge(twin, job):
                return self._get(twin.job_id)
        return None

    def _away_for(self, job: Job) -> str:
        return self._away(job.is_few) if job.needs_databases else ""

    def _why(self, job: Job) -> tuple[int | None, str]:
        """A place in the queue, and what is waited for: there, or by a run that is at work."""
        away = self._away_for(job) if job.state in (JobState.waiting, JobState.admitted) else ""
        if job.state is not JobState.waiting:
            return None, job.why or away
        waiting = sorted(self._jobs.waiting(), key=lambda one: (one.place, one.job_id))
        place = 1 + sum(1 for one in waiting if (one.place, one.job_id) < (job.place, job.job_id))
        return place, away or job.why or why_it_waits(job, place, self._slots.read(), self._bounds.runs)

    def _get(self, job_id: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise no_such_run(job_id)
        return job
