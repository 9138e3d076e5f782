"""The life of one legacy row: every run that wrote it, undid that, was asked for it, or failed at it; never a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from hybrid_sync.contracts import Key
from hybrid_sync.keys import bucket_number, key_literal
from hybrid_sync.postgres import answer
from hybrid_sync.runs.called_before import Name, names_of
from hybrid_sync.services.desk import Desk, at_target
from hybrid_sync.services.messages.answers import Event, History
from hybrid_sync.services.messages.records import HistoryAsked
from hybrid_sync.services.starts import check_ref
from hybrid_sync.session import dicts


def history(desk: Desk, asked: HistoryAsked, _: str) -> History:
    """As far back as the records go: the journal is kept for 35 days.  RequestRejected where the catalog has no such
    key."""
    check_ref(desk.catalog, asked.ref)
    source = asked.ref.source or next(iter(desk.catalog[asked.ref.entity].sources))
    key = asked.ref.key
    with at_target(desk) as target:
        names = names_of(target, desk.catalog, (asked.ref.entity, source))
        found = answer(target, dicts(events_of(names, key, asked.limit + 1), None))
    events = tuple(Event(**row) for row in found[: asked.limit])
    return History(entity=asked.ref.entity, source=source, key=key, events=events, more=len(found) > asked.limit)


def events_of(names: Sequence[Name], key: Key, most: int) -> sql.Composed:
    """What has happened to the row under any of its names, the latest first."""
    found = sql.SQL(" union ").join(part for name in names for part in _parts(name, key))
    return _EVENTS.format(found=found, most=most)


def _parts(name: Name, key: Key) -> Iterator[sql.Composed]:
    place = {
        "entity": name.entity, "source": name.source, "key": key_literal(key), "width": len(key),
        "bucket": bucket_number(key),
    }  # fmt: skip
    for part in (_WRITTEN, _ASKED, _NAMED):
        found = part.format(**place)
        always = name.since is None and name.until is None
        yield found if always else _OF_THEN.format(part=found, since=name.since, until=name.until)
    if name.until is None:  # these follow their rows to another name
        yield from (part.format(**place) for part in (_FAILED, _KEPT))


# Inserted rows of a page share one journal entry, and changed ones share some; their keys stand one behind the other.
# No index has all keys, which would cost each write: pages and undos are found by the buckets that they locked, links
# and removals, which are few, by an index of their own, and marks by the list of what had departed.
_WRITTEN = sql.SQL("""
select j.recorded_at as at, j.run_id,
       case j.operation when 'insert' then 'inserted' when 'update' then 'updated' when 'link' then 'linked'
                        else 'deleted' end as what, null as detail
from (
  select w.* from hybrid_sync.batch_done d
    cross join lateral (select * from hybrid_sync.journal j where j.batch_id = d.batch_id offset 0) w
  where d.entity = {entity} and (d.step = 'settle' or {bucket} >= d.lo and {bucket} < d.hi)
  union all
  select w.* from hybrid_sync.journal w
  where w.operation in ('link', 'delete') and w.entity = {entity} and w.source = {source} and w.keys = {key}
  union all
  select w.* from hybrid_sync.run r
    join hybrid_sync.delete_candidate c
      on c.run_id = r.run_id and c.entity = {entity} and c.source = {source} and c.key = {key} and c.outcome = 'marked'
    join hybrid_sync.journal w on w.run_id = r.run_id
  where w.operation = 'update'
) j
where j.entity = {entity} and j.source = {source} and j.keys @> {key}
  and ({width} = 1 or exists (select from generate_series(1, cardinality(j.keys), {width}) n
                              where j.keys[n : n + {width} - 1] = {key}))
""")
_ASKED = sql.SQL("""
select coalesce(r.finished_at, r.started_at), r.run_id, 'asked', coalesce(a->>'reason', a->>'state')
from hybrid_sync.run_entity e join hybrid_sync.run r using (run_id), jsonb_array_elements(e.asked) a
where e.entity = {entity} and a->>'source' = {source} and a->'key' = to_jsonb({key})
""")
_FAILED = sql.SQL("""
select u.* from hybrid_sync.failed_record f cross join lateral (values
  (f.first_seen, f.first_run, 'failed', f.reason),
  (case when f.last_seen > f.first_seen + interval '1 second' then f.last_seen end, f.last_run, 'failed', f.reason),
  (f.ended_at, case when f.status = 'resolved' then f.ended_by end, f.status, f.reason)) u (at, run_id, what, detail)
where f.entity = {entity} and f.source = {source} and f.key = {key} and u.at is not null
""")
_KEPT = sql.SQL("""
select t.at, t.run_id, 'marked_deleted', null from hybrid_sync.tombstone t
where t.entity = {entity} and t.source = {source} and t.key = {key}
union all
select t.ended_at, t.ended_run, 'brought_back', null from hybrid_sync.tombstone t
where t.entity = {entity} and t.source = {source} and t.key = {key} and t.ended_at is not null
union all
select i.retired_at, i.run_id, 'retired', null from hybrid_sync.retired_id i
where i.entity = {entity} and i.source = {source} and i.key = {key}
""")
_NAMED = sql.SQL("""
select d.found_at, d.run_id, 'differed', d.kind || ', ' || d.state
from hybrid_sync.run_entity e join hybrid_sync.difference d
  on d.run_id = e.run_id and d.entity = e.entity and d.source = {source} and d.key = {key}
where e.entity = {entity} and e.reconcile is not null
union all
select c.at, c.run_id, 'not_undone', c.reason
from hybrid_sync.run r join hybrid_sync.rollback_conflict c
  on c.run_id = r.run_id and c.entity = {entity} and c.source = {source} and c.key = {key}
where r.undoes is not null
""")
_OF_THEN = sql.SQL("""
select e.* from ({part}) as e (at, run_id, what, detail) join hybrid_sync.run r using (run_id)
where r.started_at >= coalesce({since}::timestamptz, '-infinity')
  and r.started_at < coalesce({until}::timestamptz, 'infinity')
""")
_EVENTS = sql.SQL("""
with event (at, run_id, what, detail) as ({found})
select e.at, case when r.undoes is not null and e.what in ('inserted', 'updated', 'linked', 'deleted')
                  then 'undone_' else '' end || e.what as what,
       coalesce(e.run_id, '') as run_id, coalesce(r.profile, '') as profile, coalesce(r.trigger, '') as trigger,
       coalesce(r.request->>'requested_by', '') as requested_by, coalesce(r.undoes, '') as undoes,
       coalesce(e.detail, '') as detail
from event e left join hybrid_sync.run r using (run_id)
order by e.at desc, e.run_id, e.what
limit {most}
""")
