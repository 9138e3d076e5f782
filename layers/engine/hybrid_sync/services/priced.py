"""What was counted, priced: a month, its entities and one run."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hybrid_sync.cost.answer import Cost, EntityCost, ItemCost
from hybrid_sync.cost.bill import Usage, bill, dollars, times, together
from hybrid_sync.cost.prices import AS_OF, REGION
from hybrid_sync.cost.standing import standing
from hybrid_sync.cost.used import used
from hybrid_sync.cost.what_if import asking
from hybrid_sync.errors import no_such_run
from hybrid_sync.postgres import Connection
from hybrid_sync.postgres import together as in_one_trip
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.session import Trip, dicts

Row = Mapping[str, Any]

RATE_DAYS = 28
"""What the last four weeks have used is what the rest of the month will."""


def of_run(desk: Desk, run_id: str) -> Cost:
    """What one run has used, priced item by item; RunNotFound."""
    with at_target(desk) as target, in_one_trip(target) as trip:
        rows = trip.ask(dicts(_OF_RUN, {"run": run_id}))
        began = trip.ask(dicts("select started_at from hybrid_sync.run where run_id = %(run)s", {"run": run_id}))
    if not began.value:
        raise no_such_run(run_id)
    whole = together(map(used, rows.value))
    return Cost(
        since=began.value[0]["started_at"], items=_items(whole), parts={}, entities=by_entity(rows.value),
        dollars=_round(whole), region=REGION, as_of=AS_OF,
    )  # fmt: skip


def month_to_date(desk: Desk) -> Cost:
    """As `month_of`, for the month that it is now."""
    with at_target(desk) as target:
        return month_of(target, desk.now())


def month_of(target: Connection, now: datetime) -> Cost:
    """From the first of the month, UTC; what stands is counted by the hour, and what runs use as it was counted."""
    with in_one_trip(target) as trip:
        month = ask_month(trip, now)
    return month()


def ask_month(trip: Trip, now: datetime) -> Callable[[], Cost]:
    """`month_of` in two steps: ask on the trip now, and call what this returns when it is over."""
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = trip.ask(dicts(SINCE, {"since": since}))
    lately = trip.ask(dicts(SINCE, {"since": now - timedelta(days=RATE_DAYS)}))
    counts = trip.ask(dicts(_COUNTS, {"since": since, "lately": now - timedelta(days=RATE_DAYS)}))
    return lambda: _month(rows.value, lately.value, counts.value[0], since, now)


def _month(
    rows: Sequence[Row], lately: Sequence[Row], counted: Row, since: datetime, now: datetime
) -> Cost:  # fmt: skip
    days = monthrange(since.year, since.month)[1]
    share = (now - since) / timedelta(days=days)
    rate_days = min(RATE_DAYS, max(1.0, (now - counted["first"]) / timedelta(days=1))) if counted["first"] else 1.0
    left = days * (1 - share) / rate_days
    runs, asks = together(map(used, rows)), times(asking(), counted["asked"])
    hours = counted["hours"] / share if share else 0
    parts = {"runs": runs, "requests": asks}
    parts |= {name: times(usage, share) for name, usage in standing(counted["rows"], hours).items()}
    to_come = [
        times(together(map(used, lately)), left),
        times(asking(), counted["asked_lately"] * left),
        *(times(usage, 1 - share) for usage in standing(counted["rows"], hours).values()),
    ]
    whole = together(parts.values())
    return Cost(
        since=since, items=_items(whole), parts={name: _round(usage) for name, usage in parts.items()},
        entities=by_entity(rows), dollars=_round(whole), forecast=_round(together([whole, *to_come])),
        region=REGION, as_of=AS_OF,
    )  # fmt: skip


def _items(usage: Usage) -> tuple[ItemCost, ...]:
    return tuple(
        ItemCost(item=line.item.name, quantity=float(line.quantity), dollars=float(line.dollars))
        for line in bill(usage)
    )


def by_entity(rows: Iterable[Mapping[str, Any]]) -> tuple[EntityCost, ...]:
    """What each entity and profile has used, priced; the dearest first."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["entity"], row["profile"]].append(row)
    found = (
        EntityCost(
            entity=entity, profile=profile, runs=max(row["runs"] for row in group),
            calls=sum(row["calls"] for row in group), seconds=sum(row["milliseconds"] for row in group) / 1000,
            dollars=_round(together(map(used, group))),
        )
        for (entity, profile), group in groups.items()
    )  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-one.dollars, one.entity, one.profile)))


def _round(usage: Usage) -> float:
    return round(float(dollars(usage)), 6)


_COLUMNS = """
select u.entity, r.profile, u.function, max(u.memory_mib) as memory_mib, count(distinct u.run_id) as runs,
       sum(u.calls)::bigint as calls, sum(u.milliseconds)::bigint as milliseconds,
       sum(u.transitions)::bigint as transitions, sum(u.read_units) as read_units, sum(u.write_units) as write_units,
       coalesce((select jsonb_object_agg(name, number) from (
         select name, sum(number::bigint) as number
         from unnest(array_agg(u.requests)) one, jsonb_each_text(one) of_one(name, number)
         group by name) added), '{}') as requests
from hybrid_sync.run_usage u join hybrid_sync.run r on r.run_id = u.run_id
"""
SINCE = _COLUMNS + "where r.started_at >= %(since)s group by u.entity, r.profile, u.function"
ASKED_SINCE, RETRIED_SINCE = (
    _COLUMNS + f"where r.started_at >= %(since)s and r.trigger {which} 'retry' group by u.entity, r.profile, u.function"
    for which in ("<>", "=")
)
"""SINCE for all runs but those that retry failed records, and for these alone."""
_OF_RUN = _COLUMNS + "where u.run_id = %(run)s group by u.entity, r.profile, u.function"
# A run that somebody has asked for came through the API; `hours` are those in which a run was at work.
_COUNTS = """
select count(*) filter (where profile = 'on_demand' and started_at >= %(since)s) as asked,
       count(*) filter (where profile = 'on_demand' and started_at >= %(lately)s) as asked_lately,
       count(distinct date_trunc('hour', started_at)) filter (where started_at >= %(since)s) as hours,
       min(started_at) as first,
       coalesce((select sum((e.conservation->>'legacy')::bigint) from (
         select distinct on (entity) conservation from hybrid_sync.run_entity
         where conservation is not null and detection is distinct from 'keys' and detection is distinct from 'range'
         order by entity, finished_at desc) e), 0)::bigint as rows
from hybrid_sync.run where trigger <> 'retry'
"""
