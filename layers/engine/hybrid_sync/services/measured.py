"""The deployment's own numbers as they are now, in OpenMetrics: the table of `measures`."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from hybrid_sync.measures import MEASURES, of_run
from hybrid_sync.postgres import answer
from hybrid_sync.recorded.levels import Outcome
from hybrid_sync.runs.ended import VERIFIED_WEEKLY
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.levels import measured
from hybrid_sync.session import dicts

Sample = tuple[str, str, float]
"""The measure's name, the profile of the run that it is of (empty: of none), the value."""


def exposition(desk: Desk) -> str:
    """Of the last ended run of each profile, and of the deployment; what only happens is in CloudWatch alone."""
    samples = list(_samples(desk))
    lines: list[str] = []
    for measure in MEASURES:
        found = [(profile, value) for name, profile, value in samples if name == measure.name]
        if found:
            lines += [f"# TYPE {measure.family} gauge", f"# HELP {measure.family} {measure.says}"]
        for profile, value in found:
            label = f'{{profile="{profile}"}}' if profile else ""
            lines.append(f"{measure.family}{label} {value:.15g}")
    return "\n".join([*lines, "# EOF", ""])


def _samples(desk: Desk) -> Iterator[Sample]:
    with at_target(desk) as target:
        runs = answer(target, dicts(_LAST, None))
    for run in runs:
        for name, value in of_run(run["report"]).items():
            yield name, run["profile"], value
    for name, value in today(desk).items():
        yield name, "", value
    yield "QueueAgeSeconds", "", desk.gate.oldest_wait().total_seconds()
    yield "DatabasesAway", "", float(sum(one.away_since is not None for one in desk.breakers.both().values()))


def today(desk: Desk) -> dict[str, float]:
    """What is written once a day; an average over nothing is left out."""
    with at_target(desk) as target:
        goals, month = measured(desk, target)
        [row] = answer(target, dicts(_TODAY, None))
    known = {name: float(value) for name, value in row.items() if value is not None}
    missed = float(len(goals.of(Outcome.missed)))
    return {**known, "GoalsMissed": missed, "MonthDollars": month[0], "ForecastDollars": month[1]}


_LAST = """
select distinct on (profile) profile, report from hybrid_sync.run
where report is not null and finished_at is not null and undoes is null and trigger <> 'retry'
order by profile, started_at desc
"""
_TODAY = sql.SQL("""
select extract(epoch from clock_timestamp() - coalesce(
         {},
         (select min(applied_at) from hybrid_sync.migration)))::float8 / 86400 as "DaysSinceVerifiedWeekly",
       (select avg(extract(epoch from clock_timestamp() - (fence->>'taken_at')::timestamptz))::float8 / 86400
        from hybrid_sync.fence where fence is not null) as "StalenessDays",
       (select count(*)::float8 from hybrid_sync.failed_record where status <> 'resolved') as "FailedRecords"
""").format(VERIFIED_WEEKLY)
