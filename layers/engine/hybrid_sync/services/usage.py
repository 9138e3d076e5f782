"""Who asks for what, how often each entity is carried and at what price, and which schedule would fit it better."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

from psycopg import sql

from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.measures import UsageAsked
from hybrid_sync.tuning.model import CallerUse, EntityUse, ProfileUse, UsageAnswer

RETRY = "retry"
"""Stands for a profile where failed records are tried again, which nobody has asked for."""


def usage(desk: Desk, asked: UsageAsked, _: str) -> UsageAnswer:
    """Of the last days, by list prices; the dearest entity first."""
    from hybrid_sync.postgres import together
    from hybrid_sync.services.priced import ASKED_SINCE, RETRIED_SINCE, by_entity
    from hybrid_sync.session import dicts

    since = desk.now() - timedelta(days=asked.days)
    given = {"since": since}
    with at_target(desk) as target, together(target) as trip:
        callers, requested = trip.ask(dicts(_CALLERS, given)), trip.ask(dicts(_REQUESTED, given))
        ran, spent = trip.ask(dicts(_RAN, given)), trip.ask(dicts(ASKED_SINCE, given))
        retried = trip.ask(dicts(RETRIED_SINCE, given))
    paid = {(one.entity, one.profile): one.dollars for one in by_entity(spent.value)}
    paid |= {(one.entity, RETRY): one.dollars for one in by_entity(retried.value)}
    asked_for = {row["entity"]: row for row in requested.value}
    by_name: dict[str, list[ProfileUse]] = defaultdict(list)
    for row in ran.value:
        name = row.pop("entity")
        by_name[name].append(ProfileUse(**row, dollars=paid.get((name, row["profile"]), 0.0)))
    found = [_entity(name, asked.days, asked_for.get(name, {}), profiles) for name, profiles in by_name.items()]
    return UsageAnswer(
        since=since, days=asked.days, callers=tuple(CallerUse(**row) for row in callers.value),
        entities=tuple(sorted(found, key=lambda one: (-one.dollars, one.entity))),
    )  # fmt: skip


def _entity(name: str, days: int, asked_for: dict[str, Any], profiles: list[ProfileUse]) -> EntityUse:
    from hybrid_sync.tuning.schedule import advice

    asked, keys = asked_for.get("asked", 0), asked_for.get("keys", 0)
    return EntityUse(
        entity=name, asked=asked, keys=keys, profiles=tuple(profiles),
        dollars=round(sum(one.dollars for one in profiles), 6), advice=advice(name, asked, keys, days, profiles),
    )  # fmt: skip


# Retries and rollbacks are started by us, and scheduled runs by the clock.
_NAMED = sql.SQL("""
with asked as (
  select r.run_id, r.started_at, r.trigger, coalesce(r.request->>'requested_by', '') as caller,
         coalesce(r.request->'refs', '[]') as refs, coalesce(r.request->'entities', '[]') as entities
  from hybrid_sync.run r
  where r.started_at >= %(since)s and r.profile = 'on_demand' and r.trigger <> 'retry'
), named as (
  select a.run_id, a.caller, a.trigger, a.started_at, ref->>'entity' as entity, ref as row
  from asked a, jsonb_array_elements(a.refs) ref
  union all
  select a.run_id, a.caller, a.trigger, a.started_at, name, null
  from asked a, jsonb_array_elements_text(a.entities) name
)
""")
_CALLERS = sql.SQL("""
{} select caller, trigger, count(distinct run_id) as runs, count(row) as rows,
          array_agg(distinct entity order by entity) as entities, max(started_at) as last
from named group by caller, trigger order by runs desc, caller, trigger
""").format(_NAMED)
_REQUESTED = sql.SQL("""
{} select entity, count(distinct run_id) as asked, count(distinct row) as keys from named group by entity
""").format(_NAMED)
_RAN = """
select e.entity, case when r.trigger = 'retry' then 'retry' else r.profile end as profile, count(*) as runs,
       count(*) filter (where coalesce(d.changed, 0) + coalesce((e.deletes->>'deleted')::bigint, 0)
                              + coalesce((e.deletes->>'soft')::bigint, 0) = 0) as idle,
       coalesce(sum(d.read), 0)::bigint as rows, coalesce(sum(d.changed), 0)::bigint as changed
from hybrid_sync.run r join hybrid_sync.run_entity e on e.run_id = r.run_id
left join lateral (
  select sum((b.result->>'read')::bigint) as read,
         sum((b.result->>'inserted')::bigint + (b.result->>'updated')::bigint) as changed
  from hybrid_sync.batch_done b where b.run_id = e.run_id and b.entity = e.entity) d on true
where r.started_at >= %(since)s and r.status <> 'running' and r.undoes is null
group by 1, 2 order by 1, 2
"""
