"""One seed: jobs arrive, executions end, clocks strike, events get lost, actors are late or die; what must hold, holds.

Time is virtual and passes only between calls.  The control table is real.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hybrid_sync.admission.bounds import Bounds
from hybrid_sync.admission.entry import Entry
from hybrid_sync.admission.gate import Gate
from hybrid_sync.admission.job import Job, JobState, Line, due
from hybrid_sync.admission.jobs import JobStore, stored_job
from hybrid_sync.admission.order import PATIENCE
from hybrid_sync.admission.scheduled import CALLER, Scheduled
from hybrid_sync.admission.slots import SlotStore
from hybrid_sync.contracts import Profile, Ref, RunPriority, RunRequest
from hybrid_sync.errors import SyncError
from hybrid_sync.runs.starter import RunStarter
from tests.gate import again
from tests.gate.actors import Actor, Client, Fate
from tests.gate.service import BEGAN, Service

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:sync-run"
MOST = 3
TICK = timedelta(seconds=60)
LAST_TICK = 1_400
MOST_ATTEMPTS = 13
"""Of the first state, by the retries of the state machine."""


@dataclass
class Outcome:
    """What one schedule did, for the tally."""

    started: int = 0
    merged: int = 0
    cancelled: int = 0
    killed: int = 0
    by_hand: int = 0
    again: int = 0
    """Attempts of scheduled runs that have begun by themselves."""
    dropped: int = 0
    """Those that were not needed any more, or whose time was over."""
    waited: timedelta = timedelta()
    """The longest wait."""

    def plus(self, other: Outcome) -> Outcome:
        """Of both."""
        counts = {name: value + vars(self)[name] for name, value in vars(other).items() if isinstance(value, int)}
        return Outcome(**counts, waited=max(self.waited, other.waited))


@dataclass
class Schedule:
    seed: int
    dynamodb: Any
    table: str
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._accepted: dict[str, RunRequest] = {}
        self._asked_to_cancel: set[str] = set()
        self._actors: list[Actor] = []
        self._late: set[str] = set()
        self._by_hand: dict[str, RunRequest] = {}
        self._attempts: Counter[str] = Counter()
        self._idle_until = BEGAN
        self._killing = self._random.choice((0.0, 0.03, 0.1))
        self._jobs = self._arrivals(self._random.randint(4, 12))
        self._delivered = again.deliveries(self._random)
        names = [name for _, name, _ in self._jobs] + [name for one in self._delivered for name in one.attempts]
        lengths = {name: timedelta(seconds=self._random.choice((5, 40, 90, 400))) for name in names}
        endings = {name: self._random.choice(("SUCCEEDED",) * 4 + ("FAILED", "TIMED_OUT")) for _, name, _ in self._jobs}
        of_schedules, codes = again.endings(self._random, self._delivered)
        self._jobs += [(one.at, one.first.job_id, one.request) for one in self._delivered]
        self.service = Service(MOST, lengths, endings | of_schedules, like_the_emulator=self._random.random() < 0.5)
        self._reports = again.Reports(self.service.executions, codes)
        self._quiet = Gate(
            JobStore(self.table, self.dynamodb), SlotStore(self.table, self.dynamodb),
            RunStarter(MACHINE, self.service), Bounds(MOST), lambda: self.service.now,
        )  # fmt: skip

    def play(self) -> Outcome:
        """Until every job has ended; AssertionError names the seed and what does not hold."""
        coming = sorted((moment, name, request) for moment, name, request in self._jobs)
        for n in range(1, LAST_TICK):
            strikes = BEGAN + n * TICK
            if strikes < self._idle_until:
                continue
            while coming and coming[0][0] <= strikes:
                moment, name, request = coming.pop(0)
                self._pass_to(moment)
                if Scheduled.named(name):
                    for _ in range(self._random.choice((1, 1, 2))):  # EventBridge may deliver twice
                        self._spawn(f"add {name}", partial(_add, request=request, job_id=name, caller=CALLER))
                elif self._random.random() < 0.2:
                    self._start_by_hand(name, request)
                else:
                    self._spawn(f"add {name}", partial(_add, request=request, job_id=name))
                self._maybe_cancel(name)
                self._turns(self._random.randint(0, 12))
            for end in sorted({e.ends for e in self.service.running() if e.ends <= strikes}):
                self._pass_to(end)
                self._turns(self._random.randint(0, 12))
            self._pass_to(strikes)
            self._spawn("clock", self._clock)
            self._try_again_by_hand()
            self._turns(self._random.randint(0, 60))
            if self._random.random() < 0.3:
                self._turns(None)
                self._check_quiet()
            if self._actors or self.service.running() or self._before_work():
                continue
            left = self._left()
            if not (left or coming):
                break
            if all(job.state is JobState.later for job in left):  # nothing happens before the next one's time
                times = [*map(due, left), *(moment for moment, _, _ in coming[:1])]
                self._idle_until = min(times) - self._random.randint(0, 2) * TICK
                self._maybe_cancel(self._random.choice(left).job_id if left else "")
        self._check_end()
        return self.outcome

    def _arrivals(self, count: int) -> list[tuple[datetime, str, RunRequest]]:
        jobs = []
        for n in range(count):
            moment = BEGAN + timedelta(seconds=self._random.choice((0, 0, 1, 30, 300)), milliseconds=n)
            priority = self._random.choice(
                (RunPriority.critical, RunPriority.normal, RunPriority.normal, RunPriority.low)
            )
            request = RunRequest(profile=Profile.on_demand, priority=priority, refs=(_ref(self._random.randint(1, 8)),))
            if self._random.random() < 0.15:
                request = RunRequest(profile=self._random.choice((Profile.weekly, Profile.daily)))
            jobs.append((moment, f"job-{n}", request))
        return jobs

    def _spawn(self, name: str, act: Callable[[Gate], Any]) -> None:
        def work(actor: Actor) -> None:
            control = Client(actor, self.dynamodb)
            gate = Gate(
                JobStore(self.table, control), SlotStore(self.table, control),
                RunStarter(MACHINE, Client(actor, self.service)), Bounds(MOST), lambda: self.service.now,
            )  # fmt: skip
            result = act(gate)
            if isinstance(result, Job):
                self._accepted.setdefault(result.job_id, result.request)

        actor = Actor(name, work)
        self._actors.append(actor)
        if self._random.random() < 0.1:
            self._late.add(name)

    def _start_by_hand(self, name: str, request: RunRequest) -> None:
        """Somebody starts it on the state machine, past the gate."""
        self._by_hand[name] = request
        self.service.start_by_hand(name, request.model_dump_json())
        self.outcome.by_hand += 1
        self._first_state(name)

    def _first_state(self, name: str) -> None:
        """Work begins when this one returns."""

        def work(actor: Actor) -> None:
            control = Client(actor, self.dynamodb)
            Entry(
                JobStore(self.table, control), SlotStore(self.table, control),
                RunStarter(MACHINE, Client(actor, self.service)), Bounds(MOST), lambda: self.service.now,
            ).require_slot(name, self._by_hand[name])  # fmt: skip
            self.service.let_in(name)

        self._attempts[name] += 1
        self._actors.append(Actor(f"first state {name}", work))

    def _before_work(self) -> list[str]:
        """Executions by hand that their first state has not let in."""
        executions = self.service.executions
        return [n for n in self._by_hand if executions[n].status == "RUNNING" and not executions[n].at_work]

    def _try_again_by_hand(self) -> None:
        """As the state machine does; at last it gives up."""
        for name in self._before_work():
            if any(actor.name == f"first state {name}" for actor in self._actors):
                continue
            if self._attempts[name] < MOST_ATTEMPTS:
                self._first_state(name)
            else:
                self.service.executions[name].status = "FAILED"

    def _turns(self, most: int | None) -> None:
        """So many calls, by whoever the seed lets; all that there are where `most` is None."""
        while most is None or most > 0:
            prompt = [a for a in self._actors if a.name not in self._late]
            pool = prompt if most is not None else self._actors
            if not pool:
                return
            actor = self._random.choice(pool)
            fate = Fate.goes_on
            if self._random.random() < self._killing:
                fate = self._random.choice((Fate.dies_before, Fate.dies_after))
                self.outcome.killed += 1
            if not actor.ended:
                actor.step(fate)
            if actor.ended:
                self._actors.remove(actor)
                if actor.error is not None and not isinstance(actor.error, SyncError):
                    raise AssertionError(f"seed {self.seed}: {actor.name}") from actor.error
            most = None if most is None else most - 1

    def _pass_to(self, moment: datetime) -> None:
        """Time passes; of two executions that end, about one is told."""
        for name in self.service.pass_to(moment):
            if self._random.random() < 0.5:
                self._spawn(f"event {name}", self._clock)

    def _clock(self, gate: Gate) -> None:
        again.clock(gate, self._reports)

    def _maybe_cancel(self, name: str) -> None:
        if name and self._random.random() < 0.15:
            self._asked_to_cancel.add(name)
            self._spawn(f"cancel {name}", partial(_cancel, job_id=name))

    def _stored(self) -> list[Job]:
        items = self.dynamodb.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return [stored_job(item) for item in items if item["pk"]["S"] != "slots"]

    def _left(self) -> list[Job]:
        """Jobs that have not ended."""
        open_states = (JobState.later, JobState.waiting, JobState.admitted, JobState.merged, JobState.ending)
        return [job for job in self._stored() if job.state in open_states]

    def _check_quiet(self) -> None:
        """Nobody is at work but executions: once the clock has struck, nobody waits who could start."""
        self._clock(self._quiet)
        self._quiet.admit(tend=True)
        running = self.service.running()
        slots = self._quiet._slots.read()
        working = {e.name for e in running}
        assert working <= set(slots.holders), f"seed {self.seed}: somebody works without a slot"
        assert set(slots.holders) <= working | set(self._before_work()), f"seed {self.seed}: a slot is of nobody"
        waiting = [job for job in self._stored() if job.state is JobState.waiting and job.job_id not in slots.holders]
        lines = [holder.line for holder in slots.holders.values()]
        critical = [job for job in waiting if job.line is Line.critical]
        assert not critical or len(lines) == MOST, (
            f"seed {self.seed}: {[job.job_id for job in critical]} wait beside a free slot ({slots.holders})"
        )
        assert not critical or Line.critical in lines, (
            f"seed {self.seed}: a critical job waits for others than critical"
        )
        ordinary = [job for job in waiting if job.line is Line.ordinary]
        scheduled = [job for job in waiting if job.line is Line.scheduled and Line.scheduled not in lines]
        others = sum(line is not Line.critical for line in lines)
        full = len(lines) == MOST or others == MOST - 1
        assert full or not (ordinary or scheduled), (
            f"seed {self.seed}: {[job.job_id for job in (*ordinary, *scheduled)]} wait beside a slot that they may have"
            f" ({slots.holders})"
        )
        for job in (*ordinary, *scheduled):
            begun_later = [
                e for e in running if slots.holders[e.name].line is job.line and e.began - job.accepted_at > PATIENCE
            ]
            assert job.line is Line.scheduled or not begun_later or self._is_behind(job, begun_later), (
                f"seed {self.seed}: {job.job_id} was passed over"
            )

    def _is_behind(self, job: Job, others: list[Any]) -> bool:
        """Each of them stands before the job."""
        places = {other.job_id: other.place for other in self._stored()}
        return all(places[other.name] <= job.place for other in others)

    def _check_end(self) -> None:
        stored = {job.job_id: job for job in self._stored()}
        assert self._accepted.keys() <= stored.keys(), f"seed {self.seed}: a job is lost"
        for job in stored.values():
            assert job.outcome, f"seed {self.seed}: {job.job_id} is {job.state} for ever"
            execution = self.service.executions.get(job.job_id)
            if job.into:
                self.outcome.merged += 1
                began = self.service.executions.get(job.into)
                fine = job.job_id in self._asked_to_cancel or (began and began.began >= job.accepted_at)
                assert execution is None and fine, f"seed {self.seed}: nobody has carried {job.job_id}"
            elif execution is None:
                fine = job.outcome == "cancelled" and (job.cancelled_by or again.dropped(job))
                assert fine, f"seed {self.seed}: {job.job_id} never ran"
                self.outcome.dropped += again.dropped(job)
            else:
                assert execution.status != "RUNNING", f"seed {self.seed}: {job.job_id} still runs"
                self.outcome.waited = max(self.outcome.waited, execution.began - max(job.accepted_at, due(job)))
                self.outcome.again += job.until is not None
            self.outcome.cancelled += job.outcome == "cancelled"
            fine = job.outcome != "cancelled" or job.cancelled_by or job.into or again.dropped(job)
            assert fine, f"seed {self.seed}: nobody cancelled it"
        wrong = again.wrong(self._delivered, stored, self._reports)
        assert not wrong, f"seed {self.seed}: {'; '.join(wrong)}"
        self.outcome.started = len(self.service.executions)
        self._quiet.admit(tend=True)
        left = self._quiet._slots.read().holders
        assert not left, f"seed {self.seed}: a slot is left, of {[stored[name] for name in left]}"


def _add(gate: Gate, request: RunRequest, job_id: str, caller: str = "caller") -> Job:
    return gate.add(request, job_id, caller)


def _cancel(gate: Gate, job_id: str) -> Job:
    return gate.cancel(job_id, "a person")


def _ref(key: int) -> Ref:
    return Ref(entity="payments", legacy_id=key)
