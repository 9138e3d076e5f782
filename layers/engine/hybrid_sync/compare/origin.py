"""Who changed a row that differs: legacy, the target, or both; by the transactions that wrote the two rows.

A target row that still carries a transaction of ours is as we left it, so legacy has changed.  One that carries a
native transaction was changed in the target, unless that came before the entity was last found equal: then it was part
of what was found equal, and legacy has changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from psycopg import sql

from hybrid_sync.compare.look import Difference
from hybrid_sync.contracts import Key
from hybrid_sync.keys import record_among
from hybrid_sync.postgres import Connection

Origin = Literal["legacy", "target", "both"]

# age() counts back from the next transaction id, so younger means smaller. The baseline is the last reconcile's
# snapshot of the target; before the first one, our own oldest write: whatever is older was there when we first looked.
_NATIVE_XIDS = """
with given as (select x, x::xid as xid from unnest(%(xids)s::text[]) as x),
ours as (
  select unnest(xids) as xid from hybrid_sync.batch_done where entity = %(entity)s
  union select xid from hybrid_sync.journal where entity = %(entity)s and xid::text = any(%(xids)s)
),
baseline as (
  select coalesce(
    (select age(((reconcile->>'target_xmin')::numeric %% 4294967296)::text::xid) from hybrid_sync.run_entity
     where entity = %(entity)s and run_id <> %(run)s and reconcile->>'done' = 'true'
     order by finished_at desc nulls last limit 1),
    (select max(age(xid)) from ours), 2147483647) as age
)
select x from given, baseline
where xid not in (select xid from ours) and age(xid) between 0 and baseline.age
"""
_REPORTED = sql.SQL("""
select distinct key from hybrid_sync.difference
where entity = {} and source = {} and run_id <> {} and origin <> 'legacy' and state = 'confirmed' and {}
""")


def native_xids(target: Connection, run_id: str, entity: str, xids: Collection[str]) -> set[str]:
    """Those of the transactions that changed the target's rows natively since they were last found equal."""
    if not xids:
        return set()
    rows = target.execute(_NATIVE_XIDS, {"xids": sorted(set(xids)), "entity": entity, "run": run_id}).fetchall()
    return {row[0] for row in rows}


def reported_before(target: Connection, run_id: str, entity: str, source: str, keys: Iterable[Key]) -> set[Key]:
    """Keys whose drift an earlier run has reported and that was never repaired: they were not equal then."""
    reported = _REPORTED.format(entity, source, run_id, record_among(list(keys)))
    rows = target.execute(reported).fetchall()
    return {tuple(row[0]) for row in rows}


def origin(difference: Difference, native: Collection[str], reported: Collection[Key], *, first: bool) -> Origin:
    """`first`: the entity was never verified before, so whatever is not there has not been carried yet."""
    if difference.kind == "changed":
        touched = difference.xmin in native or difference.key in reported
        if not touched:
            return "legacy"
        return "both" if difference.recent and not first else "target"
    if difference.kind == "missing" and not difference.recent and not first:
        return "target"  # conservation proved that it had arrived
    return "legacy"
