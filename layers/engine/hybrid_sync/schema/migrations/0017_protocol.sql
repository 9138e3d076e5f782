-- The protocol of a batch: one statement before legacy is read, one after the rows are written.
--
-- Volatile PL/pgSQL, so that in READ COMMITTED each statement within sees what was committed before it began: what is
-- looked up behind a lock is as the lock's last holder left it.  No function-level SET, which would reach triggers, and
-- no mapped table: names are looked up in the caller's path, with the caller's rights.

-- Share the run's and the entity's row, and say why nothing may be written; a null run or entity is not looked at.
create function hybrid_sync.enter(p_run text, p_entity text, out refused text, out detail text)
language plpgsql as $$
declare
  late boolean;
  is_held boolean;
begin
  if p_run is not null then
    select r.status, clock_timestamp() > r.deadline_at into detail, late
    from hybrid_sync.run r where r.run_id = p_run for share;
    refused := case when not found then 'unknown' when detail <> 'running' then 'ended' when late then 'late' end;
  end if;
  if refused is null and p_entity is not null then
    select s.held into is_held from hybrid_sync.entity_state s where s.entity = p_entity for share;
    refused := case when is_held then 'held' end;
  end if;
end $$;

-- Lock the buckets in ascending order and bump their generation.
create function hybrid_sync.lock_buckets(p_entity text, p_source text, p_buckets bigint[]) returns void
language plpgsql as $$
begin
  insert into hybrid_sync.bucket as b (entity, source, n, gen)
  select p_entity, p_source, u.n, 1 from unnest(p_buckets) as u (n) order by u.n
  on conflict (entity, source, n) do update set gen = b.gen + 1;
end $$;

-- Enter, lock, claim the page, and look up what the page needs.  `done` is set when an earlier delivery did the page: it and
-- the pages behind it, as far as they are done.  `waiting` holds the keys with an open failed record that the page may
-- come to; null where they are too many to be sent along.
create function hybrid_sync.open_batch(
  p_run text, p_entity text, p_source text, p_buckets bigint[], p_page uuid, p_batch uuid, p_number int,
  p_lo bigint, p_hi bigint, p_first bigint, p_last bigint, p_after bigint[], p_entities text[],
  out refused text, out detail text, out done jsonb, out planned jsonb, out detection jsonb, out epochs jsonb,
  out waiting jsonb, out marked boolean, out retired boolean)
language plpgsql as $$
begin
  select e.refused, e.detail into refused, detail from hybrid_sync.enter(p_run, p_entity) e;
  if refused is not null then
    return;
  end if;
  perform hybrid_sync.lock_buckets(p_entity, p_source, p_buckets);
  insert into hybrid_sync.batch_done (batch_id, run_id, entity, source, lo, hi, batch, page)
  values (p_page, p_run, p_entity, p_source, p_lo, p_hi, p_batch, p_number) on conflict (batch_id) do nothing;
  if not found then
    select jsonb_agg(jsonb_build_array(d.page, d.result, d.until) order by d.page) into done
    from hybrid_sync.batch_done d
    where (d.batch = p_batch or d.batch_id = p_batch) and d.page >= p_number and d.result is not null;
    return;
  end if;
  select r.fence into planned from hybrid_sync.run r where r.run_id = p_run;
  select jsonb_build_array(e.detection, e.detection_reason, e.fence_at_start) into detection
  from hybrid_sync.run_entity e where e.run_id = p_run and e.entity = p_entity;
  select coalesce(jsonb_object_agg(s.entity, s.cache_epoch), '{}') into epochs
  from hybrid_sync.entity_state s where s.entity = any(p_entities);
  select case when count(*) <= 1000 then coalesce(jsonb_agg(w.key), '[]') end into waiting
  from (select f.key from hybrid_sync.failed_record f
        where f.entity = p_entity and f.source = p_source and f.status <> 'resolved'
          and f.key[1] between p_first and p_last and f.key > p_after limit 1001) w;
  marked := exists (
    select from hybrid_sync.tombstone t where t.entity = p_entity and t.source = p_source and t.ended_run is null
      and t.key >= array[p_first] and t.key[1] <= p_last);
  retired := exists (
    select from hybrid_sync.retired_id i where i.entity = p_entity and i.source = p_source
      and i.key >= array[p_first] and i.key[1] <= p_last);
end $$;

-- Record what became of rows: `p_failed` go into quarantine, or their entry is renewed; links of the rows in `p_read`
-- are forgotten and `p_links` are what still pends; failed records of the keys in `p_ended` are resolved, of those in
-- `p_unlinked` all but a missing parent.  Keys are texts of bigint[].  Returns how many were resolved.
create function hybrid_sync.record_outcome(
  p_run text, p_entity text, p_source text, p_failed jsonb, p_read text[], p_links jsonb, p_ended text[],
  p_unlinked text[]) returns int
language plpgsql as $$
declare
  lo bigint[];
  hi bigint[];
  resolved int := 0;
begin
  insert into hybrid_sync.failed_record as f
    (entity, source, key, reason, column_name, sqlstate, constraint_name, waits_for, present, rows, row_version,
     first_run, last_run)
  select p_entity, p_source, array(select jsonb_array_elements_text(r->'key')::bigint), r->>'reason', r->>'column',
         r->>'sqlstate', r->>'constraint', nullif(r->'waits_for', 'null'), (r->>'present')::bool, (r->>'rows')::int,
         r->>'version', p_run, p_run
  from jsonb_array_elements(p_failed) as r
  order by r->'key'
  on conflict (entity, source, key) do update set
    reason = excluded.reason, column_name = excluded.column_name, sqlstate = excluded.sqlstate,
    constraint_name = excluded.constraint_name, waits_for = excluded.waits_for, present = excluded.present,
    rows = excluded.rows, last_run = excluded.last_run, last_seen = clock_timestamp(),
    -- The same failure again keeps a person's or the queue's decision; another one, or of more rows, opens it anew,
    -- and so does another version of a row that a person has accepted.
    (status, attempts, queued_at, ended_at, ended_by, accepted_why) = (
      select case when anew then 'open' else f.status end, case when anew then 0 else f.attempts end,
             case when anew then null else f.queued_at end, case when anew then null else f.ended_at end,
             case when anew then null else f.ended_by end, case when anew then null else f.accepted_why end
      from (select f.status = 'resolved' or f.reason <> excluded.reason or f.rows < excluded.rows
                   or (f.status = 'accepted' and (f.row_version <> excluded.row_version) is true) as anew) a),
    row_version = coalesce(excluded.row_version, f.row_version);
  -- A range for the index that begins with the key, and a hash within it: a join with the keys would be planned by
  -- statistics, which records that were written a moment ago do not have.
  if cardinality(p_read) > 0 then
    select min(k::bigint[]), max(k::bigint[]) into lo, hi from unnest(p_read) k;
    delete from hybrid_sync.pending_link l
    where l.entity = p_entity and l.source = p_source and l.key between lo and hi
      and (l.key::text in (select k from unnest(p_read) k)) is true;
  end if;
  insert into hybrid_sync.pending_link as l
    (entity, source, key, column_name, parent_entity, parent_source, parent_key, run_id)
  select p_entity, p_source, array(select jsonb_array_elements_text(r->0)::bigint), r->>1, r->>2, r->>3,
         (r->>4)::bigint, p_run
  from jsonb_array_elements(p_links) as r
  on conflict (entity, source, key, column_name) do update set parent_entity = excluded.parent_entity,
    parent_source = excluded.parent_source, parent_key = excluded.parent_key, run_id = excluded.run_id;
  if cardinality(p_ended) > 0 then
    select min(k::bigint[]), max(k::bigint[]) into lo, hi from unnest(p_ended) k;
    update hybrid_sync.failed_record f set status = 'resolved', ended_at = clock_timestamp(), ended_by = p_run
    where f.entity = p_entity and f.source = p_source and f.status <> 'resolved' and f.key between lo and hi
      and (f.key::text in (select k from unnest(p_ended) k)) is true
      and (f.reason <> 'missing_parent' or (f.key::text in (select k from unnest(p_unlinked) k)) is not true);
    get diagnostics resolved = row_count;
  end if;
  return resolved;
end $$;

-- Record what became of the page's rows and what the page did; in the transaction of the rows.  `unqueued` says that
-- failed records with one of these reasons wait for a message.
create function hybrid_sync.close_batch(
  p_run text, p_entity text, p_source text, p_failed jsonb, p_read text[], p_links jsonb, p_ended text[],
  p_unlinked text[], p_page uuid, p_result jsonb, p_seconds double precision, p_xids text[], p_until bigint[],
  p_retryable text[], out resolved int, out unqueued boolean)
language plpgsql as $$
begin
  resolved := hybrid_sync.record_outcome(p_run, p_entity, p_source, p_failed, p_read, p_links, p_ended, p_unlinked);
  update hybrid_sync.batch_done d
  set result = p_result || jsonb_build_object('resolved', close_batch.resolved), seconds = p_seconds,
      xids = p_xids::xid[], until = p_until, done_at = clock_timestamp()
  where d.batch_id = p_page;
  unqueued := exists (
    select from hybrid_sync.failed_record f where f.entity = p_entity and f.source = p_source and f.status = 'open'
      and f.queued_at is null and f.key <> '{}' and f.reason = any(p_retryable));
end $$;

revoke all on function hybrid_sync.enter(text, text) from public;
revoke all on function hybrid_sync.lock_buckets(text, text, bigint[]) from public;
revoke all on function hybrid_sync.open_batch(
  text, text, text, bigint[], uuid, uuid, int, bigint, bigint, bigint, bigint, bigint[], text[]) from public;
revoke all on function hybrid_sync.record_outcome(text, text, text, jsonb, text[], jsonb, text[], text[]) from public;
revoke all on function hybrid_sync.close_batch(
  text, text, text, jsonb, text[], jsonb, text[], text[], uuid, jsonb, double precision, text[], bigint[], text[])
  from public;
