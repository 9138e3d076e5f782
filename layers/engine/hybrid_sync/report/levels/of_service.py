"""Goals about how the deployment serves: requests, schedules, answers, dollars, growth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from hybrid_sync.contracts import Profile
from hybrid_sync.cost.prices import AS_OF, BUDGET
from hybrid_sync.recorded.levels import PERIOD_DAYS, EventLevel, Goal, Level, Outcome, judged
from hybrid_sync.report.levels.records import WINDOWS, Due, Records, Row
from hybrid_sync.report.words import count, duration, listed, moment, n_of, percent

CRITICAL = timedelta(hours=1)
AVAILABLE = (999, 1000)
"""Of so many, so many at least."""
AT_ONCE = 3
_VERIFIED = ("succeeded", "degraded")
"""How runs end that have verified everything; a degraded one misses more than the catalog tolerates."""
_NAMED = 3


def of_service(records: Records, events: Sequence[EventLevel], month: tuple[float, float] | None) -> Iterator[Level]:
    """`month`: dollars so far, and at its end."""
    yield _critical(events)
    yield _cost(month)
    yield _api(records)
    yield _schedules(records)
    yield _window(records, Profile.weekly)
    yield _window(records, Profile.daily)
    yield _at_once(records)
    yield _downtime()
    yield _growth(records)


def of_events(records: Records) -> tuple[EventLevel, ...]:
    """Critical requests of the period that are decided: the missed ones first, the slowest first."""
    found = []
    for row in records.requests:
        spent = (row["finished_at"] or records.at) - row["accepted_at"]
        if row["finished_at"] is None and spent < CRITICAL:
            continue  # it may still be in time
        well = row["status"] == "succeeded" and spent < CRITICAL
        found.append(
            EventLevel(
                run_id=row["run_id"], accepted_at=row["accepted_at"], seconds=spent.total_seconds(),
                status=row["status"], outcome=judged(met=well),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda e: (e.outcome is Outcome.met, -e.seconds, e.run_id)))


def _critical(events: Sequence[EventLevel]) -> Level:
    goal = Goal(
        "critical_events", "critical events verified in time", "< 1 hour each",
        f"critical requests of {PERIOD_DAYS} days, from acceptance to the end of their run",
    )  # fmt: skip
    if not events:
        return goal.unknown(f"No critical request in {PERIOD_DAYS} days.")
    well, longest = sum(event.outcome is Outcome.met for event in events), max(event.seconds for event in events)
    said = f"{count(well)} of {count(len(events))} in time, {percent(well / len(events))}"
    said += f"; the slowest took {duration(longest)}"
    return goal.judged(said, met=well == len(events), part=well, whole=len(events), value=longest)


def _cost(month: tuple[float, float] | None) -> Level:
    goal = Goal(
        "cost", "cost of a month", f"< ${BUDGET}", f"usage as counted, list prices of {AS_OF}; AWS's bill is not read"
    )
    if month is None:
        return goal.unknown("Nothing was priced.")
    said = f"${month[0]:,.2f} so far, ${month[1]:,.2f} at the end of the month"
    return goal.judged(said, met=month[1] < BUDGET, value=month[1])


def _api(records: Records) -> Level:
    goal = Goal(
        "api_availability", "availability of the API", "99.9 %", "API Gateway's metrics Count and 5XXError, once a day"
    )
    answers, failed = records.api["answers"], records.api["failed"]
    if not answers:
        return goal.unknown("No answer was counted yet.")
    well = answers - failed
    said = f"{count(well)} of {n_of(answers, 'answer')} without a server error, {percent(well / answers)}"
    said += f", until {moment(records.api['counted_at'])}"
    return goal.judged(said, met=_available(well, answers), part=well, whole=answers)


def _available(part: int, whole: int) -> bool:
    of_thousand, thousand = AVAILABLE
    return part * thousand >= whole * of_thousand


def _schedules(records: Records) -> Level:
    """What somebody has started by hand, or put right afterwards, is not the scheduled run."""
    goal = Goal(
        "run_availability", "availability of scheduled runs", "99.9 %",
        "clocks and runs; the window is 4 hours of a weekly run and 1 hour of others, further attempts within",
    )  # fmt: skip
    decided = {due: _in_time(due, attempts) for due, attempts in records.scheduled.items()}
    decided = {due: well for due, well in decided.items() if well or records.at >= due[1] + WINDOWS[due[0]]}
    if not decided:
        return goal.unknown(f"No scheduled run was due in {PERIOD_DAYS} days whose window is over.")
    well, late = sum(decided.values()), sorted((due[1], due[0]) for due, in_time in decided.items() if not in_time)
    said = f"{count(well)} of {n_of(len(decided), 'scheduled run')} verified in their window"
    said += f", {percent(well / len(decided))}"
    if late:
        named = [f"{profile} of {moment(due)}" for due, profile in late[-_NAMED:]]
        said += f"; not: {listed([*named, *([f'{len(late) - _NAMED} before'] if len(late) > _NAMED else [])])}"
    return goal.judged(said, met=_available(well, len(decided)), part=well, whole=len(decided))


def _in_time(due: Due, attempts: Sequence[Row]) -> bool:
    """Whether one of the attempts has verified everything, with no more missing than is tolerated, in the window."""
    end = due[1] + WINDOWS[due[0]]
    return any(run["status"] == "succeeded" and run["finished_at"] <= end for run in attempts)


def _window(records: Records, profile: Profile) -> Level:
    """A run that fails early says nothing of how long one takes."""
    limit = WINDOWS[profile]
    goal = Goal(
        f"{profile}_window", f"{profile} run in its time", f"<= {duration(limit.total_seconds())}",
        "beginning and end of each run",
    )  # fmt: skip
    spent = [
        ((run["finished_at"] or records.at) - run["started_at"], run["status"] in _VERIFIED)
        for run in records.runs if run["profile"] == profile
    ]  # fmt: skip
    counted = [took for took, verified in spent if verified or took > limit]
    if not counted:
        return goal.unknown(f"No {profile} run has come to its end in {PERIOD_DAYS} days.")
    well, longest = sum(verified and took <= limit for took, verified in spent), max(counted).total_seconds()
    said = f"{well} of {n_of(len(counted), 'run')} in time; the longest took {duration(longest)}"
    return goal.judged(said, met=well == len(counted), part=well, whole=len(counted), value=longest)


def _at_once(records: Records) -> Level:
    goal = Goal("jobs_at_once", "runs at once", f"at most {AT_ONCE}", "beginning and end of each run")
    if records.at_once is None:
        return goal.unknown(f"No run in {PERIOD_DAYS} days.")
    said = f"{n_of(records.at_once, 'run')} at once, at most"
    return goal.judged(said, met=records.at_once <= AT_ONCE, value=records.at_once)


def _downtime() -> Level:
    goal = Goal("downtime", "zero downtime", "none", "not recorded")
    return goal.unknown("A deployment cannot see how its databases serve others.")


def _growth(records: Records) -> Level:
    """A benchmark measures it; ten times a run's time is only a guess."""
    goal = Goal("growth", "ten times the rows", "within 4 hours", "make bench")
    weekly = [run for run in records.runs if run["profile"] == Profile.weekly and run["status"] in _VERIFIED]
    if not weekly:
        return goal.unknown("A deployment does not measure it.")
    tenfold = 10 * (weekly[-1]["finished_at"] - weekly[-1]["started_at"]).total_seconds()
    return goal.unknown(f"The last weekly run would take {duration(tenfold)}, if it took ten times as long.")
