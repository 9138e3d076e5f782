"""Failed records of the whole deployment, by entity and cause, and the results of their retries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.dataclass import dataclass
from hybrid_sync.failures.reasons import Reason, reason_of
from hybrid_sync.report.missed import by_cause
from hybrid_sync.report.tolerance import is_beyond, tolerance_of
from hybrid_sync.services.views.verified import Verified
from hybrid_sync.session import Question, dicts


@dataclass(frozen=True)
class Missed:
    """Records of one entity that fail for one reason."""

    entity: str
    title: str
    code: str
    reason: Reason
    records: int
    open_rows: int
    absent: int
    escalated: int
    accepted: int
    waiting: int
    """On their way to a retry."""
    oldest: datetime
    oldest_waiting: datetime | None
    oldest_escalated: datetime | None
    keys: tuple[str, ...]
    beyond: bool
    """More than the catalog tolerates."""

    @property
    def needs_a_person(self) -> bool:
        """Nothing that runs by itself settles it: given up, or of a kind that a retry cannot help."""
        left = self.records - self.accepted
        return left > 0 and (self.escalated > 0 or (self.beyond and not self.reason.retryable))


def ask_missed(entity: str | None = None) -> Question[list[dict[str, Any]]]:
    """Of all entities, or of one; resolved ones are over."""
    return dicts(_MISSED, {"entity": entity})


def missed(rows: Sequence[Mapping[str, Any]], catalog: Catalog, verified: Mapping[str, Verified]) -> tuple[Missed, ...]:
    """Most records first; what a person has accepted of an entity that the catalog has no more is nobody's concern."""
    return tuple(_one(row, catalog, verified) for row in rows if row["entity"] in catalog.entities)


def _one(row: Mapping[str, Any], catalog: Catalog, verified: Mapping[str, Verified]) -> Missed:
    entity = catalog.entities.get(row["entity"])
    last = verified.get(row["entity"])
    given = {**row, "keys": tuple(row["keys"]), "code": row["reason"], "reason": reason_of(row["reason"])}
    return Missed(
        **given, title=entity.title if entity else row["entity"],
        beyond=is_beyond(
            tolerance_of(entity, row["reason"]), row["open_rows"], last.conservation if last else None
        ),
    )  # fmt: skip


_MISSED = sql.SQL("""
select {by_cause},
       count(*) filter (where f.status = 'open' and f.queued_at is not null) as waiting,
       min(f.queued_at) filter (where f.status = 'open') as oldest_waiting,
       min(f.last_seen) filter (where f.status = 'escalated') as oldest_escalated,
       (array_agg(f.source || ':' || array_to_string(f.key, ',') order by f.first_seen, f.key))[:3] as keys
from hybrid_sync.failed_record f
where f.status <> 'resolved' and (%(entity)s::text is null or f.entity = %(entity)s::text)
group by f.entity, f.reason
order by records desc, f.entity, f.reason
""").format(by_cause=by_cause(sql.SQL("f.rows")))
