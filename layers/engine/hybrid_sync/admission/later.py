"""Jobs whose time has not come: they take part in nothing before, and then wait like every other.

A job that waits for its time is in no line and holds no slot, so the proof in `slots` says nothing of it; the clock
wakes it within a minute.  Whoever does the same work meanwhile makes it needless.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from hybrid_sync.admission.job import Job, JobState, Waiting, due, new_job
from hybrid_sync.admission.jobs import JobStore
from hybrid_sync.admission.startable import Startable


class Later:
    """Those of one deployment."""

    def __init__(self, jobs: JobStore, now: Callable[[], datetime]) -> None:
        self._jobs = jobs
        self._now = now

    def add(self, request: Startable, job_id: str, caller: str, at: datetime, until: datetime, why: str) -> None:
        """Once for each id: one that is known stays as it is."""
        job = new_job(job_id, request, caller, at)
        self._jobs.put(
            replace(job, accepted_at=self._now(), state=JobState.later, until=until, why=f"Starts again {why}.")
        )

    def wake(self, at_work: Callable[[], Collection[str]]) -> None:
        """Let jobs wait for their turn whose time has come, unless their work is `at_work` already."""
        ready = [job for job in self._jobs.later() if due(job) <= self._now()]
        others = at_work() if ready else ()
        for job in ready:
            if job.work not in others:
                self._jobs.wake(job.job_id)

    def needless(self, job: Waiting) -> None:
        """`job` is a newer scheduled run of the same work, or has ended well."""
        for one in self._jobs.later():
            if one.work == job.work and one.job_id != job.job_id:
                self._jobs.drop(one.job_id, self._now(), f"Run {job.job_id} does the same.")

    def dropped(self, job: Job) -> bool:
        """Whether its time is over before its turn has come: then it has ended, unless it answers for others by now."""
        late = job.until is not None and self._now() > job.until
        return late and self._jobs.drop(job.job_id, self._now(), "Its time was over before it could start.")
