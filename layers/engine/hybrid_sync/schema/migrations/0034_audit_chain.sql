-- Each line of the audit trail carries a hash over itself and the line before, so that none is changed or taken out unseen.

alter table hybrid_sync.audit add column chained bytea;

-- SHA-256 over the hash of the line before and this line as a JSON array, its time in UTC to the microsecond.
create function hybrid_sync.audit_hash(p_before bytea, p_line hybrid_sync.audit) returns bytea
language sql stable as $$
  select sha256(coalesce(p_before, ''::bytea) || convert_to(jsonb_build_array(
    p_line.audit_id, to_char(p_line.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), p_line.request_id, p_line.who,
    p_line.source_ip, p_line.command, p_line.what, p_line.outcome, p_line.code)::text, 'UTF8'))
$$;

-- One line at a time, in the order of the ids: a lock and not the sequence decides it, and a line that was not committed
-- leaves no gap.
create function hybrid_sync.chain_audit() returns trigger
language plpgsql as $$
declare
  last hybrid_sync.audit;
begin
  perform pg_advisory_xact_lock(hashtextextended('hybrid_sync.audit', 0));
  select * into last from hybrid_sync.audit order by audit_id desc limit 1;
  new.audit_id := coalesce(last.audit_id, 0) + 1;
  new.chained := hybrid_sync.audit_hash(last.chained, new);
  return new;
end $$;

do $$
declare
  line hybrid_sync.audit;
  before bytea;
begin
  for line in select * from hybrid_sync.audit order by audit_id loop
    before := hybrid_sync.audit_hash(before, line);
    update hybrid_sync.audit set chained = before where audit_id = line.audit_id;
  end loop;
end $$;

alter table hybrid_sync.audit alter column chained set not null;
create trigger chain before insert on hybrid_sync.audit for each row execute function hybrid_sync.chain_audit();

-- Not even the owner by mistake: who really means it has to drop the trigger, and the copies tell of it.
create function hybrid_sync.audit_stays() returns trigger
language plpgsql as $$
begin
  raise exception 'the audit trail is only added to' using errcode = '42501';
end $$;
create trigger stays before update or delete or truncate on hybrid_sync.audit
  for each statement execute function hybrid_sync.audit_stays();

revoke all on function hybrid_sync.audit_hash(bytea, hybrid_sync.audit) from public;
revoke all on function hybrid_sync.chain_audit() from public;
revoke all on function hybrid_sync.audit_stays() from public;
