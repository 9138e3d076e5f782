-- A first load costs the target less: it leaves the statistics that the next run's plans need, and its keys are kept as
-- they are.

-- Of what indexes hold, and so of what rows are found and joined by, and of 9,000 rows.  A column of documents costs more
-- than all of these; autovacuum, for which a look at some columns does not count, looks at all when it comes.
create or replace function hybrid_sync.close_bulk(p_entity text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '3s' set default_statistics_target = 30 as $$
declare
  loaded oid;
  found_by text;
begin
  update hybrid_sync.bulk_table b set run_id = null, begun_at = null
  where b.entity = p_entity and b.run_id is not null
    and not exists (select from hybrid_sync.bulk_part p where p.entity = p_entity)
  returning b.relation into loaded;
  if exists (select from pg_class c where c.oid = loaded) then
    select format('(%s)', string_agg(distinct quote_ident(a.attname), ', ')) into found_by
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
    where i.indrelid = loaded having count(*) > 0;
    begin
      execute format('analyze %s %s', loaded::regclass, found_by);
    exception
      when lock_not_available or deadlock_detected then
        null;
    end;
  end if;
end $$;

-- A page of 20,000 inserted rows is an array of 160 kB, and to compress it took ten times as long as to write it.
alter table hybrid_sync.journal alter column keys set storage external;
