"""A run's performance put together: times by step, slowest statements, bottlenecks by name, and the trend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.postgres import Connection, together
from hybrid_sync.session import Trip, dicts
from hybrid_sync.timing import START
from hybrid_sync.tuning.bottlenecks import bottlenecks
from hybrid_sync.tuning.facts import AskedFacts
from hybrid_sync.tuning.model import PastTimes, Performance, SlowStatement, StepLine
from hybrid_sync.tuning.spent import ROWS, SIDES, RunTimes, run_times, seconds

MOST_STEPS = 60
SLOWEST = 5
"""Of each side."""
PAST_RUNS = 12


class AskedPerformance:
    """Asked together with other questions; None where nothing was measured."""

    def __init__(self, trip: Trip, run_id: str, catalog: Catalog) -> None:
        self._rows = trip.ask(dicts(ROWS, {"run": run_id}))
        self._facts = AskedFacts(trip, run_id, catalog)

    def performance(self) -> Performance | None:
        if not self._rows.value:
            return None
        times = run_times(self._rows.value)
        found = bottlenecks(times, self._facts.facts())
        return Performance(
            calls=times.calls, seconds=round(times.seconds, 3), start_seconds=round(seconds(times.apart.get(START)), 3),
            sentence=found[0].sentence if found else _most(times), bottlenecks=found, steps=_steps(times),
            slowest=tuple(_slowest(times)),
        )  # fmt: skip


def performance_of(target: Connection, run_id: str, catalog: Catalog) -> Performance | None:
    """In one trip, in the caller's transaction."""
    with together(target) as trip:
        asked = AskedPerformance(trip, run_id, catalog)
    return asked.performance()


def _most(times: RunTimes) -> str:
    if not times.steps or not times.seconds:
        return "No time was measured."
    first = times.steps[0]
    of = f" of {first.entity}" if first.entity else ""
    share = first.seconds / times.seconds
    return f"No bottleneck: most time, {share:.0%} of {times.seconds:,.1f} s, went into the step {first.step}{of}."


def _steps(times: RunTimes) -> tuple[StepLine, ...]:
    return tuple(
        StepLine(
            entity=one.entity, step=one.step, calls=one.calls, seconds=round(one.seconds, 3),
            legacy_seconds=round(one.waited("legacy"), 3), target_seconds=round(one.waited("target"), 3),
            messages=sum(wait.number for wait in one.waits.values()),
        )
        for one in times.steps[:MOST_STEPS]
    )  # fmt: skip


def _slowest(times: RunTimes) -> Iterable[SlowStatement]:
    for side in SIDES:
        found = [(one, one.waits[side]) for one in times.steps if side in one.waits]
        for step, wait in sorted(found, key=lambda pair: -pair[1].micros)[:SLOWEST]:
            yield SlowStatement(
                side=side, entity=step.entity, step=step.step, messages=wait.number, seconds=round(seconds(wait), 3),
                longest=round(wait.most / 1e6, 3),
            )  # fmt: skip


# --- trend -------------------------------------------------------------------------------------------------------


def past_times(rows: Sequence[Mapping[str, Any]]) -> tuple[PastTimes, ...]:
    """From the answer to PAST."""
    return tuple(
        PastTimes(
            run_id=row["run_id"], started_at=row["started_at"], seconds=round(row["seconds"], 3),
            steps={name: round(micros / 1e6, 3) for name, micros in row["steps"].items()},
        )
        for row in rows
    )  # fmt: skip


def trend(past: Sequence[PastTimes]) -> str:
    """The last one against those before it; a person notices ten seconds and half as much again."""
    *before, last = past
    if len(before) < 3:
        return "There are too few earlier runs of its kind for a trend."
    usual = median(one.seconds for one in before)
    if last.seconds < usual * 1.5 or last.seconds - usual < 10:
        return f"As usual: {last.seconds:,.1f} s of calls, {usual:,.1f} s in the {len(before)} runs before (median)."
    grown = {
        name: spent - median(one.steps.get(name, 0.0) for one in before) for name, spent in last.steps.items()
    }  # fmt: skip
    most = max(grown, key=lambda name: grown[name], default="")
    why = f" The step {most} has grown most, by {grown[most]:,.1f} s." if most else ""
    return (
        f"Slower than usual: {last.seconds:,.1f} s of calls, {usual:,.1f} s in the {len(before)} runs before (median)."
        f"{why}"
    )


PAST = sql.SQL("""
with this as (select profile, started_at from hybrid_sync.run where run_id = %(run)s),
runs as (
  select r.run_id, r.started_at from hybrid_sync.run r, this
  where r.profile = this.profile and r.started_at <= this.started_at and r.status <> 'running'
    and exists (select from hybrid_sync.run_usage u where u.run_id = r.run_id and u.times <> '{{}}')
    or r.run_id = %(run)s
  order by r.started_at desc limit {most}
)
select runs.run_id, runs.started_at,
       (select coalesce(sum(u.milliseconds) / 1000.0 - coalesce(sum((u.times->'start'->>1)::bigint), 0) / 1000000.0, 0)
        from hybrid_sync.run_usage u where u.run_id = runs.run_id)::float8 as seconds,
       (select coalesce(jsonb_object_agg(name, micros), '{{}}') from (
          select name, sum((t->>1)::bigint) as micros
          from hybrid_sync.run_usage u, jsonb_each(u.times) as one(name, t)
          where u.run_id = runs.run_id and name <> 'start' and strpos(name, ' ') = 0 group by name) s) as steps
from runs order by runs.started_at, runs.run_id
""").format(most=sql.Literal(PAST_RUNS + 1))
