"""The gate from inside a run: whoever begins to work holds a slot, whatever has started it.

The gate starts an execution only once its job holds a slot.  One that was started past it, such as by hand on the state
machine, finds here that it holds none: it takes its turn like everybody else, and works only then.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.job import BY_HAND, Job, JobState, new_job
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.admission.order import next_job, why_it_waits
from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.admission.startable import Startable
from hybrid_sync.errors import RequestRejected, SlotsTaken


class Executions(Protocol):
    """Executions of the state machine, by name."""

    def status(self, name: str) -> str | None: ...


class Entry:
    """The jobs and slots of one deployment, for the first state of an execution."""

    def __init__(
        self, jobs: JobStore, slots: SlotStore, executions: Executions, bounds: Bounds, now: Callable[[], datetime]
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._slots = slots
        self._executions = executions
        self._bounds = bounds
        self._now = now

    def require_slot(self, name: str, request: Startable) -> None:
        """Return once the execution of this name holds a slot; safe to repeat.

        Raises SlotsTaken, which the state machine tries again with patience; RequestRejected where its job has ended;
        QueueFull.  A function that was invoked without an execution is none that could be counted.
        """
        # A starter that was refused puts its job back before it frees the slot: to stand in the item is not enough.
        held, job = name in self._slots.read().holders, self._jobs.get(name)
        if held and job is not None and job.state is JobState.admitted:
            return
        if self._executions.status(name) is None:
            return
        job = job or self._queued(name, request)
        if job.state not in (JobState.waiting, JobState.admitted):
            raise RequestRejected(f"Run {name} is {job.status} already.", "Start another one with hybrid-sync sync.")
        slots, waiting = self._slots.read(), self._jobs.waiting()
        line = [*(one for one in waiting if one.job_id != name and one.job_id not in slots.holders), job]
        starter = secrets.token_hex(6)
        if name in slots.holders:  # whoever claimed it has died, or was refused, before the job was marked
            claimed = self._slots.take_over(slots, name, starter)
        else:
            mine = next_job(line, slots, self._bounds.runs, self._now()) is job
            claimed = mine and self._slots.claim(slots, job, self._bounds.runs, starter)
        if not claimed:
            why = why_it_waits(job, 1 + sum(one.place < job.place for one in line), slots, self._bounds.runs)
            raise SlotsTaken(
                f"Run {name} was started past the gate, and waits. {why}",
                "Start runs with hybrid-sync sync: they wait for as long as it takes.",
            )
        if not self._jobs.mark_admitted(name, starter):
            self._slots.free(name, starter)
            raise RequestRejected(f"Run {name} was cancelled.", "Start another one with hybrid-sync sync.")

    def _queued(self, name: str, request: Startable) -> Job:
        """A job that begins to wait, or that somebody else has put there meanwhile; it answers for itself alone."""
        fresh = new_job(name, request, BY_HAND, self._now())
        self._bounds.require_room(fresh, self._jobs.waiting())
        self._jobs.put(fresh)
        return self._jobs.get(name) or fresh
