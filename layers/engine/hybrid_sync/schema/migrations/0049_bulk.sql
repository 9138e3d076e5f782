-- The first load into an empty table: secondary indexes and foreign keys are dropped before it and made again after it.
--
-- The functions run with their owner's rights, for tables that `install` has recorded and nobody else can record; the
-- text that they execute was written by the server itself and stands where the worker can read it and not write it.

create table hybrid_sync.bulk_table (
  entity   text primary key,
  relation oid not null,
  run_id   text,                                  -- whose first load is under way, or was left open; null: none
  begun_at timestamptz
);

create table hybrid_sync.bulk_part (
  entity     text not null references hybrid_sync.bulk_table,
  n          int not null,
  name       text not null,
  parent     oid,                                 -- of a foreign key; null: an index
  definition text not null,                       -- the statement that makes it
  comment    text,
  clustered  boolean not null default false,
  proven     boolean not null,                    -- a foreign key that was valid, and is to be so again
  made_at    timestamptz,                         -- of a foreign key that is there again and not proven yet
  primary key (entity, n)
);

-- Why the table of this id cannot be loaded so, as its owner sees it; null: nothing is in the way.
create function hybrid_sync.bulk_refusal(p_relation oid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when c.relowner <> (select r.oid from pg_roles r where r.rolname = current_user) then 'owner'
    when c.relkind <> 'r' or c.relpersistence <> 'p' or c.relispartition or c.relforcerowsecurity
      or exists (select from pg_inherits i where p_relation in (i.inhparent, i.inhrelid)) then 'kind'
    when exists (select from pg_publication_tables t where t.schemaname = n.nspname and t.tablename = c.relname)
      then 'published'
    when exists (select from pg_trigger t where t.tgrelid = p_relation and not t.tgisinternal
                 and t.tgenabled in ('O', 'A') and t.tgtype & 4 <> 0) then 'triggers'
  end
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_relation
$$;

-- What may be dropped because its definition says all that there is to it.  Whatever keeps rows apart stays (the engine
-- decides by it who is who), and so does what is invalid, what something depends on, and a foreign key to another
-- owner's table.
create function hybrid_sync.bulk_parts_of(p_relation oid)
returns table (name text, parent oid, definition text, comment text, clustered boolean, proven boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select x.relname::text, null::oid, pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'),
         i.indisclustered, false
  from pg_index i join pg_class x on x.oid = i.indexrelid
  where i.indrelid = p_relation and not i.indisunique and not i.indisexclusion and not i.indisreplident
    and i.indisvalid and i.indisready and x.reltablespace = 0
    and not exists (select from pg_attribute a where a.attrelid = i.indexrelid and coalesce(a.attstattarget, -1) <> -1)
    and not exists (select from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = i.indexrelid)
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                    and d.deptype in ('e', 'x'))
  union all
  select k.conname::text, k.confrelid,
         format('alter table %s add constraint %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
           || case when k.convalidated then ' not valid' else '' end,
         obj_description(k.oid, 'pg_constraint'), false, k.convalidated
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class p on p.oid = k.confrelid
  where k.conrelid = p_relation and k.contype = 'f' and k.conparentid = 0
    and p.relkind = 'r' and p.relowner = c.relowner and not p.relforcerowsecurity
    and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)        -- from PostgreSQL 18 on
    and not coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
    and not exists (select from pg_trigger t where t.tgconstraint = k.oid and t.tgenabled <> 'O')
    and not exists (select from pg_depend d where d.classid = 'pg_constraint'::regclass and d.objid = k.oid
                    and d.deptype in ('e', 'x'))
$$;

-- Record and drop; null where the run may load the entity's table, else why it loads it as usual.
create function hybrid_sync.begin_bulk(p_run text, p_entity text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  place record;
  part record;
  within name;
  why text;
  filled boolean;
begin
  perform from hybrid_sync.run r where r.run_id = p_run and r.status = 'running' for share;
  if not found then
    return 'ended';
  end if;
  select b.relation, b.run_id into place from hybrid_sync.bulk_table b where b.entity = p_entity for update;
  if not found or not exists (select from pg_class c where c.oid = place.relation) then
    return 'unrecorded';
  elsif place.run_id is not null then
    return case when place.run_id <> p_run then 'under_way' end;
  end if;
  if exists (select from hybrid_sync.fence f where f.entity = p_entity and f.fence is not null) then
    return 'known';
  end if;
  -- Nobody waits for us: who has the table, or one that it refers to, in any transaction, keeps it.
  execute format('lock table %s in access exclusive mode nowait', place.relation::regclass);
  why := hybrid_sync.bulk_refusal(place.relation);
  if why is not null then
    return why;
  end if;
  execute format('select exists (select from %s)', place.relation::regclass) into filled;
  if filled then
    return 'filled';
  end if;
  for part in select distinct p.parent from hybrid_sync.bulk_parts_of(place.relation) p where p.parent is not null
              order by 1 loop
    execute format('lock table %s in access exclusive mode nowait', part.parent::regclass);
  end loop;
  insert into hybrid_sync.bulk_part (entity, n, name, parent, definition, comment, clustered, proven)
  select p_entity, row_number() over (order by p.parent nulls first, p.name), p.name, p.parent, p.definition, p.comment,
         p.clustered, p.proven
  from hybrid_sync.bulk_parts_of(place.relation) p;
  if not found then
    return 'bare';
  end if;
  select n.nspname into within
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = place.relation;
  for part in select p.name, p.parent from hybrid_sync.bulk_part p where p.entity = p_entity order by p.n desc loop
    if part.parent is null then
      execute format('drop index %I.%I restrict', within, part.name);
    else
      execute format('alter table %s drop constraint %I restrict', place.relation::regclass, part.name);
    end if;
  end loop;
  update hybrid_sync.bulk_table b set run_id = p_run, begun_at = clock_timestamp() where b.entity = p_entity;
  return null;
exception
  when lock_not_available or deadlock_detected then
    return 'in_use';
  when others then  -- all of it is undone; what the server will not let go, stays
    return 'refused';
end $$;

-- Make the next part again, and say which; null where none is left.  One part is one transaction, and what is there
-- already under its name was made by a person.
create function hybrid_sync.end_bulk(p_entity text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  place record;
  part record;
  one record;
begin
  select b.relation, n.nspname, c.oid is null as gone, c.relowner into place
  from hybrid_sync.bulk_table b
  left join pg_class c on c.oid = b.relation left join pg_namespace n on n.oid = c.relnamespace
  where b.entity = p_entity and b.run_id is not null for update of b;
  if not found then
    return null;
  end if;
  if place.gone then  -- and with it all that was to be made again
    delete from hybrid_sync.bulk_part p where p.entity = p_entity;
  elsif place.relowner <> (select r.oid from pg_roles r where r.rolname = current_user) then
    raise exception 'the table has another owner now' using errcode = '42501';
  end if;
  select p.n, p.name, p.parent, p.definition, p.comment, p.clustered, p.proven into part
  from hybrid_sync.bulk_part p where p.entity = p_entity and p.made_at is null order by p.n limit 1;
  if not found then
    perform hybrid_sync.close_bulk(p_entity);
    return null;
  end if;
  if part.parent is null then
    if not exists (select from pg_index i join pg_class x on x.oid = i.indexrelid
                   where i.indrelid = place.relation and x.relname = part.name) then
      execute part.definition;
      if part.comment is not null then
        execute format('comment on index %I.%I is %L', place.nspname, part.name, part.comment);
      end if;
      if part.clustered then
        execute format('alter table %s cluster on %I', place.relation::regclass, part.name);
      end if;
    end if;
  -- A table that was dropped meanwhile would have taken the foreign key with it.
  elsif exists (select from pg_class c where c.oid = part.parent) then
    if not exists (select from pg_constraint k where k.conrelid = place.relation and k.conname = part.name) then
      -- In one order for all, since two tables may refer to each other.
      for one in select u.t from unnest(array[place.relation, part.parent]) as u (t) group by u.t order by u.t loop
        execute format('lock table %s in share row exclusive mode', one.t::regclass);
      end loop;
      execute part.definition;
      if part.comment is not null then
        execute format('comment on constraint %I on %s is %L', part.name, place.relation::regclass, part.comment);
      end if;
    end if;
    if part.proven then
      update hybrid_sync.bulk_part p set made_at = clock_timestamp() where p.entity = p_entity and p.n = part.n;
      return part.name;
    end if;
  end if;
  delete from hybrid_sync.bulk_part p where p.entity = p_entity and p.n = part.n;
  perform hybrid_sync.close_bulk(p_entity);
  return part.name;
end $$;

-- The load has ended once nothing is left to be made or proven.
create function hybrid_sync.close_bulk(p_entity text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update hybrid_sync.bulk_table b set run_id = null, begun_at = null
  where b.entity = p_entity and not exists (select from hybrid_sync.bulk_part p where p.entity = p_entity)
$$;

-- Prove the next foreign key behind `p_after`, all of its rows at once; `proven` is false where some break it.  A null
-- `n` says that none is left.
create function hybrid_sync.prove_bulk(p_entity text, p_after int, out n int, out name text, out proven boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  place record;
begin
  select b.relation into place from hybrid_sync.bulk_table b where b.entity = p_entity and b.run_id is not null
  for update;
  select p.n, p.name into prove_bulk.n, prove_bulk.name from hybrid_sync.bulk_part p
  where p.entity = p_entity and p.made_at is not null and p.n > p_after order by p.n limit 1;
  if not found then
    return;
  end if;
  begin
    if exists (select from pg_constraint k where k.conrelid = place.relation and k.conname = prove_bulk.name) then
      execute format('alter table %s validate constraint %I', place.relation::regclass, prove_bulk.name);
    end if;
    proven := true;
    delete from hybrid_sync.bulk_part p where p.entity = p_entity and p.n = prove_bulk.n;
    perform hybrid_sync.close_bulk(p_entity);
  exception
    when foreign_key_violation then
      proven := false;
  end;
end $$;

-- The rows that break a foreign key which is there and not proven.
create function hybrid_sync.unproven_rows(p_entity text, p_n int) returns table (id uuid)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
  link record;
begin
  for link in
    select k.conrelid::regclass as child, k.confrelid::regclass as parent, hybrid_sync.matches(k.oid) as matches,
           (select string_agg(format('c.%I is not null', a.attname),
                              case k.confmatchtype when 'f' then ' or ' else ' and ' end)
            from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any(k.conkey)) as refers
    from hybrid_sync.bulk_part p join hybrid_sync.bulk_table b on b.entity = p.entity
    join pg_constraint k on k.conrelid = b.relation and k.conname = p.name and k.contype = 'f'
    where p.entity = p_entity and p.n = p_n and p.made_at is not null
  loop
    return query execute format('select c.id from %s c where (%s) and not exists (select from %s p where %s)',
      link.child, link.refers, link.parent, link.matches);
  end loop;
end $$;

revoke all on function hybrid_sync.bulk_refusal(oid) from public;
revoke all on function hybrid_sync.bulk_parts_of(oid) from public;
revoke all on function hybrid_sync.begin_bulk(text, text) from public;
revoke all on function hybrid_sync.end_bulk(text) from public;
revoke all on function hybrid_sync.close_bulk(text) from public;
revoke all on function hybrid_sync.prove_bulk(text, int) from public;
revoke all on function hybrid_sync.unproven_rows(text, int) from public;
