"""The audit trail, read: who did what over HTTP and by command, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from psycopg import sql
from pydantic import AwareDatetime, Field

from hybrid_sync.contracts import Message
from hybrid_sync.postgres import answer
from hybrid_sync.services.audit import Result
from hybrid_sync.services.desk import Asked, Desk, at_target
from hybrid_sync.session import dicts


class TrailAsked(Asked):
    """The newest lines first; `before` is the id of the last line of the page before."""

    who: str | None = None
    """Exactly, or its end behind a `/` or `:`, such as a user's name or a token's id."""
    command: str | None = None
    """A command's name, or an endpoint's method and path."""
    outcome: Result | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    before: int | None = None


class Line(Message):
    """One act.  `what` holds identifiers, numbers and people's own words, and no value of a row."""

    id: int
    at: datetime
    who: str
    source_ip: str
    command: str
    what: dict[str, Any]
    outcome: Result
    code: str
    request_id: str


class Trail(Message):
    """`every` are all that fit, from this page on."""

    lines: tuple[Line, ...]
    every: int


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
