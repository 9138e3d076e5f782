-- The condition on a partition's name may be asked of every table, which depends on the plan (PostgreSQL 13 does it).
create or replace function hybrid_sync.drop_journal_partitions(keep interval) returns int
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  part record;
  dropped int := 0;
begin
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'hybrid_sync.journal'::regclass
      and case when c.relname ~ '^journal_\d{8}$'
               then to_timestamp(substr(c.relname, 9), 'YYYYMMDD') + interval '8 days' < now() - keep
               else false end
  loop
    execute format('drop table hybrid_sync.%I', part.relname);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;
