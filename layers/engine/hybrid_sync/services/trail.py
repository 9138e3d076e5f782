"""The audit trail, read: who did what over HTTP and by command, and what came of it."""

from __future__ import annotations

from psycopg import sql

from hybrid_sync.postgres import answer
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.trail import Line, Trail, TrailAsked
from hybrid_sync.session import dicts


def audit(desk: Desk, asked: TrailAsked, _: str) -> Trail:
    """What the trail has of it."""
    with at_target(desk) as target:
        found = answer(target, dicts(_LINES, asked.model_dump()))
    every = found[0]["every"] if found else 0
    for row in found:
        del row["every"]
    return Trail(lines=tuple(map(Line.model_validate, found)), every=every)


_LINES = sql.SQL("""
select audit_id as id, at, who, source_ip, command, what, outcome, coalesce(code, '') as code, request_id,
       count(*) over () as every
from hybrid_sync.audit
where (%(who)s::text is null or who = %(who)s::text
       or right(who, length(%(who)s::text) + 1) = any (array['/' || %(who)s::text, ':' || %(who)s::text]))
  and (%(command)s::text is null or command = %(command)s::text)
  and (%(outcome)s::text is null or outcome = %(outcome)s::text)
  and (%(since)s::timestamptz is null or at >= %(since)s::timestamptz)
  and (%(until)s::timestamptz is null or at < %(until)s::timestamptz)
  and (%(before)s::bigint is null or audit_id < %(before)s::bigint)
order by audit_id desc
limit %(limit)s::bigint
""")
