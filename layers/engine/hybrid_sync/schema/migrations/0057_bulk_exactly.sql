-- A first load takes apart only what is certain to come back exactly as it was, and leaves the planner's statistics.

-- Whether an index can be made whatever the rows hold.  While it stands, a row that does not fit costs that row; made
-- afterwards it would cost the whole index.  So: no expression; a predicate of comparisons by the server's own
-- operators; entries that fit into a page by their types alone.
create function hybrid_sync.takes_every_row(p_index oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select i.indexprs is null
    and not exists (select from unnest(i.indclass::oid[]) as o (opclass) where o.opclass >= 16384)
    and not exists (
      select from regexp_matches(i.indpred::text, '\{([A-Z_]+)', 'g') as node
      where node[1] <> all ('{OPEXPR,SCALARARRAYOPEXPR,VAR,CONST,NULLTEST,BOOLEXPR,BOOLEANTEST,RELABELTYPE}'))
    and not exists (
      select from regexp_matches(i.indpred::text, ':opno ([0-9]+)', 'g') as operator
      where not exists (
        select from pg_operator o join pg_amop a on a.amopopr in (o.oid, o.oprnegate)
        join pg_am m on m.oid = a.amopmethod
        where o.oid = operator[1]::oid and o.oid < 16384 and m.amname in ('btree', 'hash')))
    and case m.amname
      when 'gin' then not exists (
        select from unnest(i.indclass::oid[]) as u (opclass) join pg_opclass o on o.oid = u.opclass
        where o.opcname not in ('jsonb_ops', 'jsonb_path_ops', 'tsvector_ops'))
      when 'gist' then false
      when 'spgist' then false
      else (
        select sum(case
          when a.attlen > 0 then a.attlen
          when a.atttypid in ('varchar'::regtype, 'bpchar'::regtype) and a.atttypmod > 4 then 4 * a.atttypmod
          when a.atttypid = 'numeric'::regtype and a.atttypmod > 4 then ((a.atttypmod - 4) >> 16) / 2 + 16
          else 100000 end) * case m.amname when 'brin' then 2 else 1 end <= 2000
        from pg_attribute a where a.attrelid = i.indexrelid and a.attnum > 0)
    end
  from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
  where i.indexrelid = p_index and m.amname in ('btree', 'hash', 'brin', 'gin', 'gist', 'spgist')
$$;

-- All that the server knows of a table's indexes and constraints, but for what is new each time one is made.
create function hybrid_sync.bulk_shape(p_relation oid) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_agg(s.shape order by s.shape::text) from (
    select jsonb_build_array(
      pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'),
      to_jsonb(i) - '{indexrelid,indexprs,indpred,indcheckxmin}'::text[],
      to_jsonb(x) - '{oid,relfilenode,relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[],
      (select jsonb_agg(jsonb_build_array(a.attname, a.attstattarget, a.attoptions) order by a.attnum)
       from pg_attribute a where a.attrelid = i.indexrelid)) as shape
    from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = p_relation
    union all
    select jsonb_build_array(pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'), to_jsonb(k) - 'oid')
    from pg_constraint k where k.conrelid = p_relation) s
$$;

create or replace function hybrid_sync.bulk_parts_of(p_relation oid)
returns table (name text, parent oid, definition text, comment text, clustered boolean, proven boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select x.relname::text, null::oid, pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'),
         i.indisclustered, false
  from pg_index i join pg_class x on x.oid = i.indexrelid
  where i.indrelid = p_relation and not i.indisunique and not i.indisexclusion and not i.indisreplident
    and i.indisvalid and i.indisready and x.reltablespace = 0
    and hybrid_sync.takes_every_row(i.indexrelid)
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

create function hybrid_sync.drop_parts(p_entity text, p_relation oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
  within name;
begin
  select n.nspname into within
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_relation;
  for part in select p.name, p.parent from hybrid_sync.bulk_part p where p.entity = p_entity order by p.n desc loop
    if part.parent is null then
      execute format('drop index %I.%I restrict', within, part.name);
    else
      execute format('alter table %s drop constraint %I restrict', p_relation::regclass, part.name);
    end if;
  end loop;
end $$;

create function hybrid_sync.make_part(p_entity text, p_relation oid, p_n int) returns void
language plpgsql set search_path = pg_catalog, pg_temp set default_tablespace = '' as $$
declare
  part record;
  within name;
begin
  select p.* into strict part from hybrid_sync.bulk_part p where p.entity = p_entity and p.n = p_n;
  select n.nspname into within
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_relation;
  execute part.definition;
  if part.comment is not null and part.parent is null then
    execute format('comment on index %I.%I is %L', within, part.name, part.comment);
  elsif part.comment is not null then
    execute format('comment on constraint %I on %s is %L', part.name, p_relation::regclass, part.comment);
  end if;
  if part.clustered then
    execute format('alter table %s cluster on %I', p_relation::regclass, part.name);
  end if;
end $$;

-- Record and drop; null where the run may load the entity's table, else why it loads it as usual.
create or replace function hybrid_sync.begin_bulk(p_run text, p_entity text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  place record;
  part record;
  before jsonb;
  why text;
  filled boolean;
begin
  -- An older snapshot would show an empty table that is not.
  if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    return 'snapshot';
  end if;
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
  -- All of it is made again once while there is no row: what does not come back exactly now, does not later.
  before := hybrid_sync.bulk_shape(place.relation);
  perform hybrid_sync.drop_parts(p_entity, place.relation);
  for part in select p.n, p.name, p.proven, p.parent from hybrid_sync.bulk_part p
              where p.entity = p_entity order by p.n loop
    perform hybrid_sync.make_part(p_entity, place.relation, part.n);
    if part.proven then
      execute format('alter table %s validate constraint %I', place.relation::regclass, part.name);
    end if;
  end loop;
  if hybrid_sync.bulk_shape(place.relation) is distinct from before then
    raise exception 'not as before' using errcode = 'HS001';
  end if;
  perform hybrid_sync.drop_parts(p_entity, place.relation);
  update hybrid_sync.bulk_table b set run_id = p_run, begun_at = clock_timestamp() where b.entity = p_entity;
  return null;
exception
  when lock_not_available or deadlock_detected then
    return 'in_use';
  when sqlstate 'HS001' then
    return 'otherwise';
  when others then  -- all of it is undone; what the server will not let go, stays
    return 'refused';
end $$;

-- Make the next part again, and say which; null where none is left.  One part is one transaction, and what is there
-- already under its name was made by a person.
create or replace function hybrid_sync.end_bulk(p_entity text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  place record;
  part record;
  one record;
begin
  select b.relation, c.oid is null as gone, c.relowner into place
  from hybrid_sync.bulk_table b left join pg_class c on c.oid = b.relation
  where b.entity = p_entity and b.run_id is not null for update of b;
  if not found then
    return null;
  end if;
  if place.gone then  -- and with it all that was to be made again
    delete from hybrid_sync.bulk_part p where p.entity = p_entity;
  elsif place.relowner <> (select r.oid from pg_roles r where r.rolname = current_user) then
    raise exception 'the table has another owner now' using errcode = '42501';
  end if;
  select p.n, p.name, p.parent, p.proven into part
  from hybrid_sync.bulk_part p where p.entity = p_entity and p.made_at is null order by p.n limit 1;
  if not found then
    perform hybrid_sync.close_bulk(p_entity);
    return null;
  end if;
  if part.parent is null then
    if not exists (select from pg_index i join pg_class x on x.oid = i.indexrelid
                   where i.indrelid = place.relation and x.relname = part.name) then
      perform hybrid_sync.make_part(p_entity, place.relation, part.n);
    end if;
  -- A table that was dropped meanwhile would have taken the foreign key with it.
  elsif exists (select from pg_class c where c.oid = part.parent) then
    if not exists (select from pg_constraint k where k.conrelid = place.relation and k.conname = part.name) then
      -- In one order for all, since two tables may refer to each other.
      for one in select u.t from unnest(array[place.relation, part.parent]) as u (t) group by u.t order by u.t loop
        execute format('lock table %s in share row exclusive mode', one.t::regclass);
      end loop;
      perform hybrid_sync.make_part(p_entity, place.relation, part.n);
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

-- The load has ended once nothing is left to be made or proven.  What the planner believed of an empty table would
-- cost the next run far more than this look at a sample; where somebody else looks already, that is enough.
create or replace function hybrid_sync.close_bulk(p_entity text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '3s' as $$
declare
  loaded oid;
begin
  update hybrid_sync.bulk_table b set run_id = null, begun_at = null
  where b.entity = p_entity and b.run_id is not null
    and not exists (select from hybrid_sync.bulk_part p where p.entity = p_entity)
  returning b.relation into loaded;
  if exists (select from pg_class c where c.oid = loaded) then
    begin
      execute format('analyze %s', loaded::regclass);
    exception
      when lock_not_available or deadlock_detected then
        null;
    end;
  end if;
end $$;

revoke all on function hybrid_sync.takes_every_row(oid) from public;
revoke all on function hybrid_sync.bulk_shape(oid) from public;
revoke all on function hybrid_sync.drop_parts(text, oid) from public;
revoke all on function hybrid_sync.make_part(text, oid, int) from public;
