-- How a run ended, more exactly than "succeeded or not"; and what a person accepts.

alter table hybrid_sync.run drop constraint run_status_check;
alter table hybrid_sync.run add constraint run_status_check
  check (status in ('running', 'succeeded', 'degraded', 'failed', 'cancelled', 'lost'));

-- A record that a person accepts; it was called ignored, and nothing set it.
alter table hybrid_sync.failed_record drop constraint failed_record_status_check;
update hybrid_sync.failed_record set status = 'accepted' where status = 'ignored';
alter table hybrid_sync.failed_record add constraint failed_record_status_check
  check (status in ('open', 'escalated', 'accepted', 'resolved'));
alter table hybrid_sync.failed_record
  add column accepted_why text,
  add column row_version text;                    -- which version of the legacy row failed: another one is judged anew

alter table hybrid_sync.run_entity add column asked jsonb;  -- what became of each row that the request names
