-- A parent's arrival wakes the failed records that wait for it: who closes a page hears that there are some.
create index failed_record_waits_for on hybrid_sync.failed_record ((waits_for->>'entity'), (waits_for->>'source'))
  where reason = 'missing_parent' and status in ('open', 'escalated');

create or replace function hybrid_sync.close_batch(
  p_run text, p_entity text, p_source text, p_failed jsonb, p_read text[], p_links jsonb, p_ended text[],
  p_unlinked text[], p_page uuid, p_result jsonb, p_seconds double precision, p_xids text[], p_until bigint[],
  p_retryable text[], out resolved int, out unqueued boolean)
language plpgsql as $$
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
    select from hybrid_sync.failed_record f where f.entity = p_entity and f.source = p_source and f.status = 'open'
      and f.queued_at is null and f.key <> '{}' and f.reason = any(p_retryable))
    or exists (
    select from hybrid_sync.failed_record f where f.reason = 'missing_parent' and f.status in ('open', 'escalated')
      and f.waits_for->>'entity' = p_entity and f.waits_for->>'source' = p_source);
end $$;
