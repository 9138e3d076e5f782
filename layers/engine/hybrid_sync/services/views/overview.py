"""The overview: one trip to the target, and what AWS says of queues, jobs and slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from hybrid_sync.admission.gate import Standing
from hybrid_sync.errors import KEPT_OUT, AwsUnavailable, PartMissing
from hybrid_sync.postgres import Connection, together
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.runs import OverviewAsked
from hybrid_sync.services.views import at_work, history
from hybrid_sync.services.views.missed import Missed, ask_missed, missed
from hybrid_sync.services.views.model import Freshness, NextRun, OnDemand, Overview, Queue, Server
from hybrid_sync.services.views.needs import needs, of_servers
from hybrid_sync.services.views.never_began import never_began
from hybrid_sync.services.views.outlook import FAILED, GIVEN_UP
from hybrid_sync.services.views.schedule import next_time
from hybrid_sync.services.views.servers import TARGET
from hybrid_sync.services.views.state import state
from hybrid_sync.services.views.verified import ask_fresh, ask_last, ask_verified, money_of, rows_of, verified
from hybrid_sync.services.waiting import Waits, ask_locks, waits
from hybrid_sync.session import dicts


def overview(desk: Desk, _: OverviewAsked, __: str) -> Overview:
    """The overview; a part that does not answer is shown as away, beside all the others."""
    now = desk.now()
    standings, paused = _jobs(desk)
    servers = desk.outlook.servers.look()
    coming = next_runs(desk, now)
    waiting = waits(desk, at_work=bool(standings))
    try:
        with at_target(desk) as target:
            seen = _seen(target)
    except KEPT_OUT as error:
        queued = at_work.in_the_queue(standings, set(), waiting)
        # What was asked a moment ago may have answered.
        servers = tuple(Server(name=TARGET, ok=False, said=str(error)) if s.name == TARGET else s for s in servers)
        unknown = state(away=str(error), rows=None, money=(), freshness=Freshness(), needs=(), running=queued, now=now)
        return Overview(
            at=now, away=str(error), state=unknown, running=queued, paused=paused, next_runs=coming, servers=servers,
            needs=of_servers(servers, desk.breakers.both()),
        )  # fmt: skip
    return _composed(desk, now, seen, standings, paused, servers, coming, waiting)


def _composed(
    desk: Desk, now: datetime, seen: Mapping[str, list[dict[str, Any]]], standings: Sequence[Standing], paused: str,
    servers: Sequence[Server], coming: tuple[NextRun, ...], waiting: Waits,
) -> Overview:  # fmt: skip
    catalog = desk.catalog
    found = verified(seen["verified"], catalog)
    causes = missed(seen["missed"], catalog, found)
    begun = at_work.running(seen["running"], seen["lanes"], seen["locks"], catalog, waiting)
    running = begun + at_work.in_the_queue(standings, {one.run_id for one in begun}, waiting)
    rows = rows_of(tuple(found.values()), catalog)
    money = money_of(line for one in found.values() for line in one.headline)
    freshness = _freshness(seen["fresh"], seen["pace"], standings, set(catalog.entities))
    recorded = history.last_run(seen["last_run"])
    last = never_began(desk, recorded) or recorded
    queues = _queues(desk, causes, standings)
    needed = needs(
        held=seen["held"], missed=causes, last=seen["last"], last_run=last,
        again=at_work.next_attempt(last.run_id, standings) if last else "", verified=found, fresh=seen["fresh"],
        servers=servers, breakers=desk.breakers.both(), paused=paused, catalog=catalog, now=now, queues=queues,
    )  # fmt: skip
    pace = seen["pace"][0]
    return Overview(
        at=now, rows=rows, money=money, freshness=freshness, last_run=last, next_runs=coming, paused=paused,
        needs=needed, running=running, weeks=history.weeks(seen["weekly"], now),
        runs=history.run_lines(seen["runs"], catalog), queues=queues, servers=tuple(servers),
        on_demand=OnDemand(runs=pace["runs"], p50=pace["p50"], p95=pace["p95"]),
        state=state(
            away="", rows=rows, money=money, freshness=freshness, needs=needed, running=running, now=now
        ),
    )  # fmt: skip


def _seen(target: Connection) -> dict[str, list[dict[str, Any]]]:
    """Everything that the target knows, in one message."""
    with together(target) as trip:
        asked = {
            "verified": trip.ask(ask_verified()), "fresh": trip.ask(ask_fresh()), "last": trip.ask(ask_last()),
            "missed": trip.ask(ask_missed()), "held": trip.ask(dicts(_HELD, None)),
            "running": trip.ask(at_work.ask_running()), "lanes": trip.ask(at_work.ask_lanes()),
            "locks": trip.ask(ask_locks()), "weekly": trip.ask(history.ask_weeks()),
            "runs": trip.ask(history.ask_runs()), "last_run": trip.ask(history.ask_last_run()),
            "pace": trip.ask(dicts(_PACE, None)),
        }  # fmt: skip
    return {name: answer.value for name, answer in asked.items()}


def _jobs(desk: Desk) -> tuple[list[Standing], str]:
    """What waits and runs, and since when starts are paused; nothing where AWS does not answer."""
    try:
        found, _, slots = desk.gate.at_work()
    except (AwsUnavailable, PartMissing):
        return [], ""
    return found, slots.paused


def next_runs(desk: Desk, now: datetime) -> tuple[NextRun, ...]:
    """What the clock starts next, the soonest first."""
    found = [
        NextRun(title=one.title, at=next_time(one, now), expression=f"{one.expression} {one.zone}")
        for one in desk.outlook.schedules
    ]
    return tuple(sorted(found, key=lambda run: (run.at is None, run.at or now)))


def _freshness(
    fresh: Sequence[Mapping[str, Any]], pace: Sequence[Mapping[str, Any]], standings: Sequence[Standing],
    known: set[str],
) -> Freshness:  # fmt: skip
    of_ours = [row for row in fresh if row["entity"] in known]
    whole = len(of_ours) == len(known) and bool(of_ours)
    waits = [
        one.job.accepted_at for one in standings if one.place is not None and one.job.to_start.priority == "critical"
    ]
    return Freshness(
        complete_until=of_ours[0]["complete_until"] if whole else None,
        oldest_entity=of_ours[0]["entity"] if whole else "", critical_seconds=pace[0]["critical"],
        critical_waits_since=min(waits, default=None),
    )  # fmt: skip


def _queues(desk: Desk, causes: Sequence[Missed], standings: Sequence[Standing]) -> tuple[Queue, ...]:
    waiting = [one.job.accepted_at for one in standings if one.place is not None]
    return (
        Queue(
            name="jobs", title="Runs that wait", messages=None, records=len(waiting), oldest=min(waiting, default=None)
        ),
        Queue(
            name=FAILED, title="Failed records on their way to a retry", messages=_length(desk, FAILED),
            records=sum(one.waiting for one in causes),
            oldest=min((one.oldest_waiting for one in causes if one.oldest_waiting), default=None),
        ),
        Queue(
            name=GIVEN_UP, title="Failed records that were given up", messages=_length(desk, GIVEN_UP),
            records=sum(one.escalated for one in causes),
            oldest=min((one.oldest_escalated for one in causes if one.oldest_escalated), default=None),
        ),
    )  # fmt: skip


def _length(desk: Desk, queue: str) -> int | None:
    try:
        return desk.outlook.messages(queue)
    except (AwsUnavailable, PartMissing):
        return None


_HELD: LiteralString = """
select entity, held_by as by, held_why as why, held_at as since from hybrid_sync.entity_state where held
order by held_at, entity
"""
_PACE: LiteralString = """
select count(*) as runs, percentile_cont(0.5) within group (order by seconds) as p50,
       percentile_cont(0.95) within group (order by seconds) as p95,
       max(seconds) filter (where priority = 'critical') as critical
from (select priority, extract(epoch from finished_at - started_at)::float8 as seconds from hybrid_sync.run
      where profile = 'on_demand' and trigger <> 'retry' and finished_at is not null and undoes is null
        and started_at > now() - interval '7 days') recent
"""
