"""Who changed a row that differs: legacy, the target, or both; by the transactions that wrote the two rows.

A target row that still carries a transaction of ours is as we left it, so legacy has changed.  One that carries a
native transaction was changed in the target, unless that came before the entity was last found equal: then it was part
of what was found equal, and legacy has changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from psycopg import sql

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.place import table
from hybrid_sync.compare.recheck import Difference
from hybrid_sync.contracts import Key
from hybrid_sync.keys import record_among
from hybrid_sync.postgres import Connection, Question

Origin = Literal["legacy", "target", "both"]

# The baseline is the last reconcile's snapshot of the target; before the first one, our own oldest write: whatever is
# older was there when we first looked.  Rows and records bear 32 bits of a transaction's number, so each is taken for
# the youngest one with these bits; and what we wrote before the baseline, whose bits may come again, is not looked at.
# An hour is more than a transaction takes between the clock that its record bears and its end.
_NATIVE_XIDS = """
with given as (select x::bigint as x from unnest(%(xids)s::text[]) as x),
next as (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xid),
last as (
  select (e.reconcile->>'target_xmin')::bigint as xid, r.started_at - interval '1 hour' as since
  from hybrid_sync.run_entity e join hybrid_sync.run r on r.run_id = e.run_id
  where e.entity = %(entity)s and e.run_id <> %(run)s and e.reconcile->>'done' = 'true'
  order by e.finished_at desc nulls last limit 1
),
since (at) as (select coalesce((select since from last), '-infinity')),
ours as (
  select unnest(b.xids)::text::bigint as x from hybrid_sync.batch_done b, since
  where b.entity = %(entity)s and b.done_at >= since.at
  union select j.xid::text::bigint from hybrid_sync.journal j, since
  where j.entity = %(entity)s and j.recorded_at >= since.at and (j.xid::text)::bigint = any(array(select x from given))
),
baseline as (
  select coalesce((select xid from last), (select min(next.xid - 1 - (next.xid - 1 - x & 4294967295)) from ours, next),
                  0) as xid
)
select x::text from given, next, baseline
where x not in (select x from ours) and next.xid - 1 - (next.xid - 1 - x & 4294967295) >= baseline.xid
"""
# An entry is written in the savepoint of the change that it tells of, so it bears the same transaction id.
# Whose run ended after the entity was last verified may have written after that look, a run without the entity too.
_OURS = """
with recursive tree (oid) as (
  select pg_catalog.to_regclass(name)::oid from unnest({tables}::text[]) as name
  union select i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid
),
verified (at) as (select coalesce(max(advanced_at), now()) from hybrid_sync.fence where entity = {entity}),
since (run_id, at) as (
  select run_id, case when run_id = {run} then '-infinity' else at end from hybrid_sync.run, verified
  where run_id = {run} or finished_at > at
)
select array_agg(distinct xid::text) from (
  select unnest(b.xids) from hybrid_sync.batch_done b join since s on b.run_id = s.run_id and b.done_at > s.at
  union
  select j.xmin from hybrid_sync.journal j join since s on j.run_id = s.run_id and j.recorded_at > s.at
  where j.operation in ('link', 'delete')
  union
  select unnest(w.xids) from hybrid_sync.written_beside w join since s on w.run_id = s.run_id and w.at > s.at
  union
  select unnest(w.xids) from hybrid_sync.written_beside w join verified on w.at > verified.at
  where w.run_id not in (select run_id from hybrid_sync.run)  -- an erasure
) as ours (xid)
where exists (
  select from pg_catalog.pg_trigger g where not g.tgisinternal and g.tgenabled in ('O', 'A')
  and g.tgrelid in (select oid from tree)
) or exists (
  select from pg_catalog.pg_constraint c
  where c.contype = 'f' and c.confrelid in (select oid from tree) and c.confupdtype in ('c', 'n', 'd')
)
"""
_REPORTED = sql.SQL("""
select distinct key from hybrid_sync.difference
where entity = {} and source = {} and run_id <> {} and origin <> 'legacy' and state = 'confirmed' and {}
""")


def ask_our_xids(catalog: Catalog, run_id: str, entity: str) -> Question[list[str]]:
    """The transactions with which this run, and others since the entity was last verified, wrote to any table; none
    where no table of the catalog has a trigger that could write another row."""
    tables = sorted({table(one.target).as_string(None) for one in catalog.entities.values()})
    query = sql.SQL(_OURS).format(tables=tables, entity=entity, run=run_id)
    return Question(query, None, lambda found: found.fetchall()[0][0] or [])


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
