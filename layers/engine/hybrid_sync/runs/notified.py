"""Which alerts people already have: one for each cause, again after a day, and in the end that it is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from hybrid_sync.alerts import Alert
from hybrid_sync.postgres import Connection, Question, answer

_RECORD: LiteralString = """
insert into hybrid_sync.alert as a (cause, title, entities)
values (%(cause)s, %(title)s, nullif(%(entities)s::text[], '{}'))
on conflict (cause) do update set told_at = clock_timestamp(), times = a.times + 1, entities = excluded.entities
where a.told_at < clock_timestamp() - interval '24 hours'
returning a.since, a.times
"""
# Whatever is verified has needed all parts since it began.  Of runs it is over when one that began later has carried
# what the trouble was with: a run of a part says nothing of the rest, and one that a late report is about nothing of
# what came after it.  Of failed records it is over when none of the cause waits any more.
_OVER: LiteralString = """
delete from hybrid_sync.alert a using hybrid_sync.run r where r.run_id = %(run_id)s and (
  starts_with(a.cause, 'part:') and a.told_at < r.started_at
  or %(well)s and starts_with(a.cause, %(cause)s) and a.told_at < r.started_at
    and (%(part)s::text[] is null
      or a.entities <@ %(part)s and coalesce(r.request->>'since', r.request->>'until') is null)
  or %(well)s and starts_with(a.cause, 'records:') and not exists (
    select from hybrid_sync.failed_record f
    where f.status in ('open', 'escalated') and a.cause = concat('records:', f.entity, ':', f.reason)))
returning a.title, a.since
"""


def cause_of_records(entity: str, reason: str) -> str:
    """Of failed records that were given up."""
    return f"records:{entity}:{reason}"


def cause_of_part(part: str) -> str:
    """Of a part of the deployment that is gone."""
    return f"part:{part}"


def is_news(target: Connection, alert: Alert) -> bool:
    """Whether to send the alert now; always, where it has no cause.

    Call it in a transaction that commits after the alert was sent: what could not be sent is then sent again later.
    """
    if not alert.cause:
        return True
    told = {"cause": alert.cause, "title": alert.title, "entities": list(alert.entities)}
    return bool(answer(target, Question(_RECORD, told, lambda c: c.fetchall())))


def over(run_id: str, cause: str, *, well: bool, part: Sequence[str] | None) -> Question[list[tuple[str, datetime]]]:
    """Take out the alerts that end with a verified run; returns the title of each and since when it was so.

    They are those of missing parts and, where the run went `well`, those whose cause begins with `cause` and those of
    failed records of which none is left.  `part`: the entities of a run that carried these alone.
    """
    about = {"run_id": run_id, "cause": cause, "well": well, "part": None if part is None else list(part)}
    return Question(_OVER, about, lambda found: [(str(t), s) for t, s in found.fetchall()])
