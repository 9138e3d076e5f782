"""Where the time of a run went, what held it up, and whether it was slower than those before."""

from __future__ import annotations

from hybrid_sync.errors import RunNotFound, no_such_run
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.measures import PerformanceAsked
from hybrid_sync.tuning.model import PerformanceAnswer


def performance(desk: Desk, asked: PerformanceAsked, _: str) -> PerformanceAnswer:
    """RunNotFound, also for a run of which nothing was measured."""
    from hybrid_sync.postgres import together
    from hybrid_sync.session import dicts
    from hybrid_sync.tuning.performance import PAST, AskedPerformance, past_times, trend

    with at_target(desk) as target:
        run_id = asked.run_id
        if not run_id:
            last = target.execute(_LAST).fetchone()
            if last is None:
                raise RunNotFound("No run was measured yet.", "Start one with: hybrid-sync sync.")
            run_id = last[0]
        with together(target) as trip:
            run = trip.ask(dicts(_RUN, {"run": run_id}))
            measured = AskedPerformance(trip, run_id, desk.catalog)
            past = trip.ask(dicts(PAST, {"run": run_id}))
    if not run.value:
        raise no_such_run(run_id)
    found = measured.performance()
    if found is None:
        raise RunNotFound(f"Nothing was measured of run {run_id}.", "It began before this release, or only just now.")
    before = past_times(past.value)
    return PerformanceAnswer(**run.value[0], performance=found, trend=trend(before), past=before)


_LAST = """
select r.run_id from hybrid_sync.run r
where r.status <> 'running' and exists (select from hybrid_sync.run_usage u where u.run_id = r.run_id)
order by r.started_at desc limit 1
"""
_RUN = "select run_id, profile, status, started_at from hybrid_sync.run where run_id = %(run)s"
