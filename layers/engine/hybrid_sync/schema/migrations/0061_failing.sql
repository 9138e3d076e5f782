-- A page's failing rows cost the same however many have failed before: what is open is found by its key, what no
-- message names yet by its reason, and nothing of it by reading what all pages have left.
drop index hybrid_sync.failed_record_open;
create index failed_record_open on hybrid_sync.failed_record (entity, source, key) where status <> 'resolved';
create index failed_record_unqueued on hybrid_sync.failed_record (entity, source, reason)
  where status = 'open' and queued_at is null;

-- No sequential scan: where many records are believed to be like the one that is asked for, the planner reads the
-- table until it meets one, and there may be none.  A null in an array is above every number, so `p_last` and null are
-- the end of all keys that begin with `p_last`.
create or replace function hybrid_sync.open_batch(
  p_run text, p_entity text, p_source text, p_buckets bigint[], p_page uuid, p_batch uuid, p_number int,
  p_lo bigint, p_hi bigint, p_first bigint, p_last bigint, p_after bigint[], p_entities text[],
  out refused text, out detail text, out done jsonb, out planned jsonb, out detection jsonb, out epochs jsonb,
  out waiting jsonb, out marked boolean, out retired boolean)
language plpgsql set enable_seqscan = off as $$
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
          and f.key >= array[p_first] and f.key < array[p_last, null] and f.key > p_after limit 1001) w;
  marked := exists (
    select from hybrid_sync.tombstone t where t.entity = p_entity and t.source = p_source and t.ended_run is null
      and t.key >= array[p_first] and t.key < array[p_last, null]);
  retired := exists (
    select from hybrid_sync.retired_id i where i.entity = p_entity and i.source = p_source
      and i.key >= array[p_first] and i.key < array[p_last, null]);
end $$;

create or replace function hybrid_sync.close_batch(
  p_run text, p_entity text, p_source text, p_failed jsonb, p_read text[], p_links jsonb, p_ended text[],
  p_unlinked text[], p_page uuid, p_result jsonb, p_seconds double precision, p_xids text[], p_until bigint[],
  p_retryable text[], out resolved int, out unqueued boolean)
language plpgsql set enable_seqscan = off as $$
begin
  resolved := hybrid_sync.record_outcome(p_run, p_entity, p_source, p_failed, p_read, p_links, p_ended, p_unlinked);
  update hybrid_sync.batch_done d
  set result = p_result || jsonb_build_object('resolved', close_batch.resolved), seconds = p_seconds,
      -- Without `p_xids` they are those of the page's own entries in the journal.
      xids = coalesce(p_xids::xid[], array(
        select distinct j.xid::text from hybrid_sync.journal j where j.batch_id = p_page)::xid[]),
      until = p_until, done_at = clock_timestamp()
  where d.batch_id = p_page;
  unqueued := exists (
    select from unnest(p_retryable) r (reason) cross join lateral (
      select from hybrid_sync.failed_record f where f.entity = p_entity and f.source = p_source and f.status = 'open'
        and f.queued_at is null and f.key <> '{}' and f.reason = r.reason limit 1) one)
    or exists (
    select from hybrid_sync.failed_record f where f.reason = 'missing_parent' and f.status in ('open', 'escalated')
      and f.waits_for->>'entity' = p_entity and f.waits_for->>'source' = p_source);
end $$;
