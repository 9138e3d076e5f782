-- What else a transaction of ours writes: a trigger of the target may write any row.  The server counts the writes of
-- each table, those that a savepoint has taken back as well, so these are counted too (`hybrid_sync.taken_back`).

create function hybrid_sync.counted_writes(p_tables text[]) returns table (name text, oids oid[], n bigint)
language sql stable as $$
  with recursive tree (name, oid) as (  -- with their partitions, and what inherits from them
    select t, pg_catalog.to_regclass(t)::oid from unnest(p_tables) t
    union select t.name, i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid
  )
  select name, array_agg(oid order by oid),
    sum(pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid))::bigint
  from tree group by name
$$;

-- Begin to count; `p_own` is the one of the tables that we write.
create function hybrid_sync.count_writes(p_tables text[], p_own text) returns void language plpgsql as $$
begin
  perform set_config('hybrid_sync.counted', jsonb_object_agg(t.name, t.n)::text, true),
    set_config('hybrid_sync.own', coalesce(max(t.oids::text) filter (where t.name = p_own), ''), true),
    set_config('hybrid_sync.taken_back', '0', true)
  from hybrid_sync.counted_writes(p_tables) t;
end $$;

-- Record that others' rows may have been written, or ours again, unless we have `p_written` as much as the server has
-- counted; with the ids of the transaction's subtransactions, an exception block's for one.
create function hybrid_sync.record_beside(p_batch uuid, p_run text, p_own text, p_written bigint) returns void
language plpgsql as $$
declare
  before constant jsonb := current_setting('hybrid_sync.counted');
  own constant bigint := pg_current_xact_id()::text::bigint;
  more text[];
  latest bigint;
  held bigint[];
  others boolean;
  found_there xid[];
  ours xid[] := '{}';
  place text;
begin
  -- Where the server does not count, every table may have been written.
  select array_agg(c.name) into more
  from hybrid_sync.counted_writes(array(select jsonb_object_keys(before))) c
  where not current_setting('track_counts')::boolean or c.n - (before->>c.name)::bigint
    > case when c.name = p_own then p_written + current_setting('hybrid_sync.taken_back')::bigint else 0 end;
  if more is null then
    return;
  end if;
  begin  -- a block has an id of its own, later than all that the transaction has had
    insert into hybrid_sync.written_beside (batch_id, run_id, xids) values (p_batch, p_run, '{}')
    on conflict do nothing returning own + (xmin::text::bigint - own & 4294967295) into latest;
  exception when division_by_zero then
    raise;
  end;
  if latest is null then
    return;
  end if;
  -- An id in progress is held by its session, or is of a subtransaction that has ended: one of ours, or of whoever else
  -- has a transaction open by now.  Those that write our records know themselves what they have written.
  select coalesce(array_agg(t.transactionid::text::bigint), '{}'), coalesce(bool_or(not exists (
      select from pg_locks r join pg_class c on c.oid = r.relation
      where r.pid = t.pid and r.mode = 'RowExclusiveLock' and c.relnamespace = 'hybrid_sync'::regnamespace
        and r.database = (select d.oid from pg_database d where d.datname = current_database()))), false)
  into held, others
  from pg_locks t
  where t.locktype = 'transactionid' and t.mode = 'ExclusiveLock' and t.pid is distinct from pg_backend_pid();
  if not others then
    select coalesce(array_agg((x & 4294967295)::text::xid), '{}') into ours from generate_series(own, latest) x
    where pg_xact_status(x::text::xid8) = 'in progress' and x & 4294967295 <> all(held);
  else  -- what we see of transactions in progress is ours: that takes each table as a whole
    foreach place in array more loop
      execute format(
        'select array_agg(distinct x.xmin::text)::xid[] from %s x where age(x.xmin) <= age(($1 & 4294967295)::text::xid)'
        ' and case when age(x.xmin) <= age(($1 & 4294967295)::text::xid) then'
        ' pg_xact_status(($1 + (x.xmin::text::bigint - $1 & 4294967295))::text::xid8) end = %L', place, 'in progress')
      into found_there using own;
      ours := ours || coalesce(found_there, '{}');
    end loop;
  end if;
  update hybrid_sync.written_beside set xids = ours where batch_id = p_batch;
end $$;

revoke all on function hybrid_sync.counted_writes(text[]) from public;
revoke all on function hybrid_sync.count_writes(text[], text) from public;
revoke all on function hybrid_sync.record_beside(uuid, text, text, bigint) from public;
