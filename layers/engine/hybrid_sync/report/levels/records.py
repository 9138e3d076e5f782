"""What the target knows that service levels are computed from, asked in one trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from hybrid_sync.admission.scheduled import Scheduled
from hybrid_sync.contracts import Profile
from hybrid_sync.dataclass import dataclass
from hybrid_sync.recorded.levels import PERIOD_DAYS
from hybrid_sync.runs.ended import STATUS, WHOLE
from hybrid_sync.session import Trip, dicts

WINDOWS = {Profile.weekly: timedelta(hours=4), Profile.daily: timedelta(hours=1), Profile.hourly: timedelta(hours=1)}
"""From when a scheduled run is due until it has to have verified everything, its further attempts too."""
Row = Mapping[str, Any]
Due = tuple[Profile, datetime]


@dataclass(frozen=True)
class Records:
    """Of the period; rows as the target has them."""

    at: datetime
    since: datetime
    runs: Sequence[Row]
    """Of the schedules' profiles, as far as they took the whole catalog: oldest first."""
    due: frozenset[Due]
    """When a clock was to start a run, as the daily look has noted it."""
    weekly: Sequence[Row]
    """The entities of the last weekly run that has ended."""
    fresh: Mapping[str, datetime]
    requests: Sequence[Row]
    """Critical requests."""
    api: Row
    at_once: int | None
    traced: Row

    @property
    def scheduled(self) -> dict[Due, list[Row]]:
        """The attempts of each run that was due in the period; none of one that never began."""
        found: dict[Due, list[Row]] = {due: [] for due in self.due}
        for run in self.runs:
            if (named := Scheduled.named(run["run_id"])) and self.since <= named.due <= self.at:
                found.setdefault((named.profile, named.due), []).append(run)
        return found


def ask_records(trip: Trip, at: datetime) -> Callable[[], Records]:
    """To be called when the trip is over."""
    since = at - timedelta(days=PERIOD_DAYS)
    given = {"at": at, "since": since}
    runs, due = trip.ask(dicts(_RUNS, given)), trip.ask(dicts(_DUE, given))
    weekly, fresh = trip.ask(dicts(_WEEKLY, given)), trip.ask(dicts(_FRESH, given))
    requests, api = trip.ask(dicts(_REQUESTS, given)), trip.ask(dicts(_API, given))
    at_once, traced = trip.ask(dicts(_AT_ONCE, given)), trip.ask(dicts(_TRACED, given))
    return lambda: Records(
        at=at, since=since, runs=runs.value, due=frozenset((Profile(r["profile"]), r["due"]) for r in due.value),
        weekly=weekly.value, fresh={row["entity"]: row["complete_until"] for row in fresh.value},
        requests=requests.value, api=api.value[0], at_once=at_once.value[0]["most"], traced=traced.value[0],
    )  # fmt: skip


_RUNS = sql.SQL("""
select r.run_id, r.profile, {status} as status, r.started_at, r.finished_at
from hybrid_sync.run r
where r.profile in ('weekly', 'daily', 'hourly') and {whole} and r.started_at between %(since)s and %(at)s
order by r.started_at
""").format(status=STATUS, whole=WHOLE)
_DUE = "select profile, due from hybrid_sync.due_run where due between %(since)s and %(at)s"
_WEEKLY = sql.SQL("""
select e.entity, e.status, e.conservation, e.money, e.reference_counts, e.reconcile, last.run_id, last.finished_at
from (select r.run_id, r.finished_at from hybrid_sync.run r
      where r.profile = 'weekly' and {whole} and {status} in ('succeeded', 'degraded', 'failed', 'lost')
        and r.started_at <= %(at)s
      order by r.started_at desc limit 1) last
join hybrid_sync.run_entity e on e.run_id = last.run_id
order by e.entity
""").format(status=STATUS, whole=WHOLE)
_FRESH = """
select entity, (fence->>'taken_at')::timestamptz as complete_until from hybrid_sync.fence where fence is not null
"""
_REQUESTS = sql.SQL("""
select r.run_id, {status} as status, r.finished_at,
       coalesce((r.request->>'accepted_at')::timestamptz, r.started_at) as accepted_at
from hybrid_sync.run r
where r.profile = 'on_demand' and r.priority = 'critical' and r.trigger <> 'retry' and r.undoes is null
  and r.started_at between %(since)s and %(at)s
order by r.started_at
""").format(status=STATUS)
_API = """
select sum(answers)::bigint as answers, sum(failed)::bigint as failed, max(counted_at) as counted_at
from hybrid_sync.api_day where day between (%(since)s at time zone 'UTC')::date and (%(at)s at time zone 'UTC')::date
"""
# Whatever ends at a moment ends before what begins then.
_AT_ONCE = """
select max(at_once)::int as most from (
  select sum(change) over (order by moment, change) as at_once from (
    select started_at as moment, 1 as change, trigger, undoes from hybrid_sync.run
    where started_at between %(since)s and %(at)s
    union all
    select finished_at, -1, trigger, undoes from hybrid_sync.run
    where started_at between %(since)s and %(at)s and finished_at is not null
  ) changes where trigger <> 'retry' and undoes is null
) counted
"""
# What an erasure has taken from the journal is no gap in it.
_TRACED = """
select count(*) filter (where traced or not erased) as batches, count(*) filter (where traced) as traced from (
  select exists (select from hybrid_sync.journal j where j.batch_id = d.batch_id) as traced,
         exists (select from hybrid_sync.erasure x where x.at > d.done_at) as erased
  from hybrid_sync.batch_done d
  where d.run_id in (select run_id from hybrid_sync.run where started_at between %(since)s and %(at)s)
    and (d.result->>'inserted')::bigint + (d.result->>'updated')::bigint > 0
) written
"""
