"""How fresh each entity's rows are, and whether they may be served: from fences, holds, breakers and the last
verification."""

from __future__ import annotations

from typing import Annotated

from psycopg import sql
from pydantic import Field

from hybrid_sync.errors import SyncError
from hybrid_sync.postgres import Connection, answer
from hybrid_sync.runs.ended import VERIFIED_WEEKLY
from hybrid_sync.services.desk import Asked, Desk, at_target
from hybrid_sync.services.messages.answers import LONGEST_AGE, USUAL_AGE, EntityFreshness, FreshnessAnswer, Route
from hybrid_sync.session import dicts

SERVED_SECONDS, FALLEN_BACK_SECONDS = 60, 30
"""How long a caller may act on an answer."""


class FreshnessAsked(Asked):
    """Nothing to say."""


class RouteAsked(Asked):
    """`max_age_seconds`: how old the target's rows may be."""

    entity: str
    max_age_seconds: Annotated[int, Field(ge=1, le=LONGEST_AGE)] = USUAL_AGE


def freshness(desk: Desk, _: FreshnessAsked, __: str) -> FreshnessAnswer:
    """Every entity of the catalog, by name."""
    with at_target(desk) as target:
        [(at, weekly)] = target.execute(_WEEKLY).fetchall()
        found = _of(target, sorted(desk.catalog.entities))
    return FreshnessAnswer(at=at, weekly_days=weekly, entities=tuple(found))


def route(desk: Desk, asked: RouteAsked, _: str) -> Route:
    """Never an error of the target: what cannot be asked is not served, and what is known to be away is not asked."""
    desk.catalog[asked.entity]
    breakers = desk.breakers.both()
    away = breakers["legacy"].away_since is not None
    if breakers["target"].away_since is not None:
        return _fall_back(asked.entity, "target_away", legacy_away=away)
    try:
        with at_target(desk) as target:
            [found] = _of(target, [asked.entity])
    except SyncError as error:
        return _fall_back(asked.entity, error.code, legacy_away=away)
    return choose(found, asked.max_age_seconds, legacy_away=away)


def _fall_back(entity: str, why: str, *, legacy_away: bool) -> Route:
    return Route(
        entity=entity, serve="legacy", why=(why,), ttl_seconds=FALLEN_BACK_SECONDS, legacy_away=legacy_away
    )  # fmt: skip


def choose(found: EntityFreshness, max_age_seconds: int, *, legacy_away: bool = False) -> Route:
    """From the target only if nothing speaks against it, and no longer than it stays fresh enough."""
    age = found.age_seconds
    against = {
        "never_synced": age is None,
        "stale": age is not None and age >= max_age_seconds,
        "not_verified": age is not None and not found.verified,
        "rolled_back": found.rolled_back,
        "held": found.held,
    }
    why = tuple(code for code, speaks in against.items() if speaks)
    ttl = FALLEN_BACK_SECONDS if why or age is None else min(SERVED_SECONDS, int(max_age_seconds - age))
    return Route(
        entity=found.entity, serve="legacy" if why else "target", why=why, ttl_seconds=ttl, legacy_away=legacy_away,
        age_seconds=age, failed_records=found.failed_records,
    )  # fmt: skip


def _of(target: Connection, entities: list[str]) -> list[EntityFreshness]:
    return [EntityFreshness(**row) for row in answer(target, dicts(_FRESHNESS, {"entities": entities}))]


_WEEKLY = sql.SQL("""
select clock_timestamp(), extract(epoch from clock_timestamp() - {})::float8 / 86400
""").format(VERIFIED_WEEKLY)
# A run of single rows or of a range of time verifies these alone, and says nothing of the rest.
_FRESHNESS = sql.SQL("""
select name as entity, (f.fence->>'taken_at')::timestamptz as current_until,
       extract(epoch from clock_timestamp() - (f.fence->>'taken_at')::timestamptz)::float8 as age_seconds,
       v.run_id as verified_by, v.finished_at as verified_at, coalesce(v.status = 'verified', false) as verified,
       coalesce(v.undone, false) as rolled_back, coalesce(s.held, false) as held,
       (select count(*) from hybrid_sync.failed_record q where q.entity = name and q.status <> 'resolved')
         as failed_records
from unnest(%(entities)s::text[]) as name
left join hybrid_sync.fence f on f.entity = name
left join hybrid_sync.entity_state s on s.entity = name
left join lateral (
  select r.run_id, r.finished_at, e.status,
         r.undone_by is not null or exists (select from hybrid_sync.run u where u.undoes = r.run_id
                                            and u.status = 'running') as undone
  from hybrid_sync.run r join hybrid_sync.run_entity e on e.run_id = r.run_id and e.entity = name
  where r.undoes is null and e.status in ('verified', 'incomplete', 'failed')
    and (r.profile <> 'on_demand' or e.detection in ('fence', 'full', 'timestamp'))
  order by r.started_at desc limit 1) v on true
order by name
""")
