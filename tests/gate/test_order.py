"""Who is next, as a rule: critical first, nobody starves, no flood blocks the weekly run."""

from __future__ import annotations

from datetime import timedelta

from hybrid_sync.admission.job import Job, Line, new_job, written
from hybrid_sync.admission.order import PATIENCE, Holder, Slots, next_job
from hybrid_sync.contracts import Profile, RunPriority, RunRequest
from tests.gate.service import BEGAN

MOST = 3
FIVE_MINUTES = timedelta(minutes=5)


def job(
    name: str, priority: RunPriority = RunPriority.normal, after: timedelta = timedelta(), **request: Profile
) -> Job:
    asked = RunRequest(priority=priority, **{"profile": Profile.on_demand, **request})
    return new_job(name, asked, "caller", BEGAN + after)


def slots(*lines: Line) -> Slots:
    return Slots(1, {f"held-{n}": Holder(line, "x") for n, line in enumerate(lines)})


def chosen(waiting: list[Job], held: Slots, after: timedelta = timedelta()) -> str | None:
    found = next_job(waiting, held, MOST, BEGAN + after)
    return found.job_id if found else None


def test_a_run_is_told_when_it_was_asked_for_whatever_the_caller_says() -> None:
    asked = RunRequest(profile=Profile.on_demand, accepted_at="2001-01-01T00:00:00Z")
    assert new_job("a", asked, "caller", BEGAN).to_start.model_dump()["accepted_at"] == written(BEGAN)


def test_a_critical_job_goes_before_all_that_came_earlier() -> None:
    waiting = [job("weekly", profile=Profile.weekly), job("normal"), job("critical", RunPriority.critical)]
    assert chosen(waiting, slots()) == "critical"
    assert chosen(waiting, slots(Line.ordinary, Line.scheduled)) == "critical"


def test_the_last_slot_is_for_critical_jobs_alone() -> None:
    waiting = [job("weekly", profile=Profile.weekly), job("normal")]
    assert chosen(waiting, slots(Line.ordinary, Line.ordinary), timedelta(hours=9)) is None
    assert chosen(waiting, slots(Line.critical, Line.ordinary)) == "weekly"


def test_no_more_than_there_are_slots() -> None:
    waiting = [job("critical", RunPriority.critical)]
    assert chosen(waiting, slots(Line.critical, Line.critical, Line.critical), timedelta(hours=9)) is None


def test_the_weekly_run_goes_before_a_flood_that_came_earlier() -> None:
    flood = [job(f"normal-{n}", after=timedelta(seconds=n)) for n in range(500)]
    weekly = job("weekly", after=timedelta(hours=1), profile=Profile.weekly)
    assert chosen([*flood, weekly], slots(Line.ordinary), timedelta(hours=2)) == "weekly"


def test_scheduled_runs_leave_a_slot_to_the_ordinary_ones() -> None:
    waiting = [job("daily", profile=Profile.daily), job("normal", after=FIVE_MINUTES)]
    assert chosen(waiting, slots(Line.scheduled)) == "normal"


def test_a_low_job_lets_those_of_half_an_hour_go_before_it_and_no_others() -> None:
    low = job("low", RunPriority.low)
    assert chosen([low, job("early", after=timedelta(minutes=29))], slots(Line.ordinary)) == "early"
    assert chosen([low, job("late", after=timedelta(minutes=31))], slots(Line.ordinary)) == "low"


def test_under_a_flood_of_critical_jobs_a_normal_one_starts_once_it_has_been_patient() -> None:
    waiting = [job("normal"), *(job(f"critical-{n}", RunPriority.critical) for n in range(500))]
    busy = slots(Line.critical, Line.critical)
    assert chosen(waiting, busy, PATIENCE - timedelta(seconds=1)) == "critical-0"
    assert chosen(waiting, busy, PATIENCE) == "normal"
    assert chosen(waiting, slots(Line.critical, Line.ordinary), PATIENCE) == "critical-0"


def test_nobody_starves_in_a_flood_of_everything() -> None:
    """Each run lasts five minutes, and more jobs of each kind arrive than can run."""
    kinds = [*RunPriority, "weekly"]
    waiting = [job("patient-low", RunPriority.low), job("patient-weekly", profile=Profile.weekly)]
    held: list[tuple[str, Line]] = []
    begun: dict[str, timedelta] = {}
    for n in range(60):
        now = n * FIVE_MINUTES
        held = []
        for kind in kinds:
            request = {"profile": Profile.weekly} if kind == "weekly" else {}
            priority = RunPriority.normal if kind == "weekly" else RunPriority(kind)
            waiting += [job(f"{kind}-{n}-{m}", priority, now, **request) for m in range(6)]
        while True:
            found = next_job(waiting, slots(*(line for _, line in held)), MOST, BEGAN + now)
            if found is None:
                break
            waiting = [one for one in waiting if one.job_id != found.job_id]
            held.append((found.job_id, found.line))
            begun[found.job_id] = now
        assert len(held) == MOST
    assert begun["patient-weekly"] == PATIENCE
    assert begun["patient-low"] < timedelta(hours=5)


def test_a_pause_lets_nobody_start() -> None:
    paused = Slots(1, {}, "by a person")
    assert chosen([job("critical", RunPriority.critical)], paused) is None
