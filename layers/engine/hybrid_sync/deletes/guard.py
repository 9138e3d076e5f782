"""The delete guard: so many rows may go within a week; more of them need a person's word.

An emptied table, a filter that hides rows, a restored copy, a DSN that names another database: to a sync all of them
look like deletes.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from decimal import Decimal

from psycopg import sql

from hybrid_sync.catalog.models import OnDelete
from hybrid_sync.compare.scope import Scope
from hybrid_sync.contracts import Key
from hybrid_sync.dataclass import dataclass
from hybrid_sync.keys import is_row_of, record_among
from hybrid_sync.postgres import Connection
from hybrid_sync.write.tombstones import is_marked


@dataclass(frozen=True)
class Going:
    """Rows of one source that have gone from legacy."""

    now: int
    """They would go in this run."""
    lately: int = 0
    """They went within the last seven days."""
    kept: int = 0
    """The guard has let them go before, and something in the target keeps them."""


def asks(policy: OnDelete, going: Going, live: int) -> bool:
    """Whether a person has to allow it, where the source has `live` rows in the target.

    All of them, and more than half, are always asked for: an emptied table looks the same however small it is.
    """
    if not going.now:
        return False
    gone, rows = going.now + going.lately, live + going.lately
    allowed = min(Decimal(policy.cap), max(Decimal(policy.floor), _share(policy) * rows))
    return going.now + going.kept >= live or 2 * gone > rows or gone > allowed


def _share(policy: OnDelete) -> Decimal:
    return Decimal(str(policy.share))


def guards(target: Connection, policy: OnDelete, scope: Scope, run_id: str, keys: Collection[Key]) -> bool:
    """Whether the guard keeps the source's rows: the `keys` that are to be listed now, and those that the reconcile
    of this run has listed before.  The caller holds `one_at_a_time`.
    """
    kept = _kept_before(target, scope, run_id)
    all_keys = _listed(target, scope, run_id, policy.cap + len(kept)).union(keys)
    now = len(all_keys - kept)
    if not now or now > policy.cap:
        return now > 0
    going = Going(now, _lately(target, scope, run_id, keys), len(kept & all_keys))
    return asks(policy, going, _live(target, policy, scope, going))


def one_at_a_time(target: Connection, entity: str) -> None:
    """Until the transaction ends no other run lists deletes of the entity: together they could pass the guard."""
    target.execute("select pg_advisory_xact_lock(hashtextextended('hybrid_sync.deletes.' || %s::text, 0))", (entity,))


def _live(target: Connection, policy: OnDelete, scope: Scope, going: Going) -> int:
    """The source's live rows; counted no further than their number can change the answer."""
    gone = going.now + going.lately
    part = min(Decimal("0.5"), _share(policy)) if gone > policy.floor else Decimal("0.5")
    enough = going.kept + (math.ceil(gone / part) if part else 2 * gone) + 1
    row = target.execute(
        sql.SQL("select count(*) from (select from {} where {} limit {}) s").format(
            scope.relation, scope.in_target(), sql.Literal(enough)
        )
    ).fetchone()
    assert row is not None, "a count is one row"
    return int(row[0])


def _listed(target: Connection, scope: Scope, run_id: str, enough: int) -> set[Key]:
    """What the reconcile has listed; no more than one above `enough`, which answers everything."""
    rows = target.execute(
        "select key from hybrid_sync.delete_candidate where run_id = %s and entity = %s and source = %s limit %s",
        (run_id, scope.plan.entity, scope.plan.source, enough + 1),
    ).fetchall()
    return {tuple(row[0]) for row in rows}


# The last run that looked at the whole entity, and whose guard let its rows go.
_KEPT = """
select c.key from hybrid_sync.delete_candidate c
where c.entity = %(entity)s and c.source = %(source)s and c.outcome = 'kept' and c.run_id = (
  select e.run_id from hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id
  where e.entity = %(entity)s and e.run_id <> %(run)s and e.detection in ('fence', 'full', 'timestamp')
    and e.deletes->>'done' = 'true' and e.deletes->>'guarded' = '0'
  order by r.started_at desc limit 1)
"""


def _kept_before(target: Connection, scope: Scope, run_id: str) -> set[Key]:
    """Rows that an earlier run was allowed to delete but had to keep, because others refer to them: they need no new
    permission."""
    rows = target.execute(_KEPT, {"entity": scope.plan.entity, "source": scope.plan.source, "run": run_id}).fetchall()
    return {tuple(row[0]) for row in rows}


# Rows that other runs took within seven days, or are about to take. What a person has allowed does not count, nor
# what is back in the target: a rollback brought it, or legacy did.
_LATELY = sql.SQL("""
select count(distinct c.key) from hybrid_sync.delete_candidate c
join hybrid_sync.run r on r.run_id = c.run_id
join hybrid_sync.run_entity e on e.run_id = c.run_id and e.entity = c.entity
where c.entity = {entity} and c.source = {source} and c.run_id <> {run}
  and not coalesce(r.request->'allow_deletes' @> to_jsonb({entity}::text), false)
  and (c.outcome in ('deleted', 'marked') and c.done_at > now() - interval '7 days' and not {live}
       or c.outcome is null and r.status = 'running' and e.deletes->>'guarded' = '0')
  and not {listed}
  and not exists (select from hybrid_sync.delete_candidate o
                  where o.run_id = {run} and o.entity = c.entity and o.source = c.source and o.key = c.key)
""")


def _lately(target: Connection, scope: Scope, run_id: str, keys: Collection[Key]) -> int:
    entity, source = scope.plan.entity, scope.plan.source
    live = sql.SQL("exists (select from {} t where {} and not {})").format(
        scope.relation, is_row_of(scope.source, sql.SQL("c.key")), is_marked(entity, source, sql.SQL("c.key"))
    )
    row = target.execute(
        _LATELY.format(
            entity=sql.Literal(entity), source=sql.Literal(source), run=sql.Literal(run_id), live=live,
            listed=record_among(keys, sql.SQL("c.key")),
        )
    ).fetchone()  # fmt: skip
    assert row is not None, "a count is one row"
    return int(row[0])
