-- People who are erased, or merged into others, because an event says so; and lines of the audit trail that nobody dates back.

-- A key that legacy has merged into another one: it is never written again, and rows that refer to it are not its person's.
alter table hybrid_sync.suppressed add column alone boolean not null default false;

-- One certificate for each request, however often it is delivered.
create unique index erasure_request on hybrid_sync.erasure ((certificate->>'request'))
  where certificate->>'request' <> '';

-- The time of a line is when it was written, whatever the worker says.
create or replace function hybrid_sync.chain_audit() returns trigger
language plpgsql as $$
declare
  last hybrid_sync.audit;
begin
  perform pg_advisory_xact_lock(hashtextextended('hybrid_sync.audit', 0));
  select * into last from hybrid_sync.audit order by audit_id desc limit 1;
  new.audit_id := coalesce(last.audit_id, 0) + 1;
  if current_user = 'hybrid_sync_worker' then
    new.at := clock_timestamp();
  end if;
  new.chained := hybrid_sync.audit_hash(last.chained, new);
  return new;
end $$;
