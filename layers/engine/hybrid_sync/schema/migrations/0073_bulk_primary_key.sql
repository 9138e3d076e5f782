-- A first load makes the primary key after the rows, too: an index of random numbers grows by the row ever more slowly
-- (a fifth of a load of a million rows, more of a larger one).  It stays where a foreign key of a table that is not
-- loaded so, or a view, needs it.

alter table hybrid_sync.bulk_part add column prime boolean not null default false;  -- the primary key

drop function hybrid_sync.bulk_parts_of(oid);
create function hybrid_sync.bulk_parts_of(p_relation oid)
returns table (name text, parent oid, definition text, comment text, clustered boolean, proven boolean, keys int2[],
               rest text, columns jsonb, prime boolean)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with part as (
    select 'pg_class'::regclass as kind, i.indexrelid as oid, x.relname::text as name, null::oid as parent,
           pg_get_indexdef(i.indexrelid) as definition, i.indisclustered as clustered, false as proven,
           null::int2[] as keys, format('CREATE INDEX %I ON %s ', x.relname, p_relation::regclass) as head
    from pg_index i join pg_class x on x.oid = i.indexrelid
    where i.indrelid = p_relation and not i.indisunique and not i.indisexclusion and not i.indisreplident
      and i.indisvalid and i.indisready and x.reltablespace = 0
      and hybrid_sync.takes_every_row(i.indexrelid)
      and not exists (select from pg_attribute a
                      where a.attrelid = i.indexrelid and coalesce(a.attstattarget, -1) <> -1)
      and not exists (select from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = i.indexrelid)
    union all
    select 'pg_constraint'::regclass, k.oid, k.conname::text, k.confrelid,
           pg_get_constraintdef(k.oid) || case when k.convalidated then ' NOT VALID' else '' end, false, k.convalidated,
           k.conkey, format('FOREIGN KEY (%s) REFERENCES %s',
                            hybrid_sync.column_list(k.conrelid, k.conkey), k.confrelid::regclass)
    from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class p on p.oid = k.confrelid
    where k.conrelid = p_relation and k.contype = 'f' and k.conparentid = 0
      and p.relkind = 'r' and p.relowner = c.relowner and not p.relforcerowsecurity
      and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)        -- from PostgreSQL 18 on
      and not coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
      and not exists (select from pg_trigger t where t.tgconstraint = k.oid and t.tgenabled <> 'O')
    union all
    select 'pg_constraint'::regclass, k.oid, k.conname::text, null, pg_get_constraintdef(k.oid), false, false, null,
           'PRIMARY KEY '
    from pg_constraint k join pg_index i on i.indexrelid = k.conindid join pg_class x on x.oid = i.indexrelid
    where k.conrelid = p_relation and k.contype = 'p' and i.indisvalid and not i.indisreplident
      -- Of the id alone: any other may be what keeps legacy keys apart.
      and k.conkey = (select array[a.attnum] from pg_attribute a where a.attrelid = p_relation and a.attname = 'id')
      and not i.indisclustered and x.reltablespace = 0 and x.reloptions is null
      and not coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
      and obj_description(i.indexrelid, 'pg_class') is null
      -- What needs it would have to go with it: a foreign key of another table, a view that groups by it.
      and not exists (select from pg_constraint f where f.confrelid = p_relation and f.conindid = k.conindid
                        and f.contype = 'f')
      and not exists (select from pg_depend d
                      where (d.refclassid = 'pg_constraint'::regclass and d.refobjid = k.oid
                             or d.refclassid = 'pg_class'::regclass and d.refobjid = x.oid)
                        and (d.classid, d.objid) <> ('pg_class'::regclass, x.oid))
  )
  select p.name, p.parent,
         case when p.parent is null and p.kind = 'pg_class'::regclass then p.definition
              else format('alter table %s add constraint %I %s', p_relation::regclass, p.name, p.definition) end,
         obj_description(p.oid, p.kind::text), p.clustered, p.proven, p.keys,
         substr(p.definition, length(p.head) + 1),
         (select jsonb_agg(jsonb_build_object('relation', a.attrelid, 'number', a.attnum, 'name', a.attname))
          from (select distinct d.refobjid, d.refobjsubid from pg_depend d
                where d.classid = p.kind and d.objid = p.oid and d.refclassid = 'pg_class'::regclass) d
          join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid and a.attnum > 0),
         p.head = 'PRIMARY KEY '
  from part p
  where starts_with(p.definition, p.head)
    and not exists (select from pg_depend d where d.classid = p.kind and d.objid = p.oid and d.deptype in ('e', 'x'))
$$;

create or replace function hybrid_sync.drop_parts(p_entity text, p_relation oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
  within name;
begin
  select n.nspname into within
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_relation;
  for part in select p.name, p.parent is null and not p.prime as bare from hybrid_sync.bulk_part p
              where p.entity = p_entity order by p.n desc loop
    if part.bare then
      execute format('drop index %I.%I restrict', within, part.name);
    else
      execute format('alter table %s drop constraint %I restrict', p_relation::regclass, part.name);
    end if;
  end loop;
end $$;

-- The columns have their names of then for as long as the statement takes; no other transaction sees that.
create or replace function hybrid_sync.make_part(p_entity text, p_relation oid, p_n int) returns void
language plpgsql set search_path = pg_catalog, pg_temp set default_tablespace = '' as $$
declare
  part record;
  within name;
  relations regclass[];
  present name[];
  aside name[];
  past name[];
begin
  select p.* into strict part from hybrid_sync.bulk_part p where p.entity = p_entity and p.n = p_n;
  select n.nspname into within
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_relation;
  select array_agg(r.relation), array_agg(r.now), array_agg(r.aside), array_agg(r.was)
  into relations, present, aside, past from hybrid_sync.renamed_columns(p_entity, p_n) r;
  perform hybrid_sync.rename_column(u.t, u.a, u.b) from unnest(relations, present, aside) as u (t, a, b);
  perform hybrid_sync.rename_column(u.t, u.a, u.b) from unnest(relations, aside, past) as u (t, a, b)
  where u.b is not null;
  execute case
    when part.rest is null then part.definition  -- begun by an earlier version
    when part.prime then
      format('alter table %s add constraint %I primary key %s', p_relation::regclass, part.name, part.rest)
    when part.parent is null then
      format('create index %I on %s %s', part.name, p_relation::regclass, part.rest)
    else
      format('alter table %s add constraint %I foreign key (%s) references %s%s', p_relation::regclass, part.name,
             hybrid_sync.column_list(p_relation, part.keys), part.parent::regclass, part.rest)
    end;
  perform hybrid_sync.rename_column(u.t, u.b, u.a) from unnest(relations, aside, past) as u (t, a, b)
  where u.b is not null;
  perform hybrid_sync.rename_column(u.t, u.b, u.a) from unnest(relations, present, aside) as u (t, a, b);
  if part.comment is not null and part.parent is null and not part.prime then
    execute format('comment on index %I.%I is %L', within, part.name, part.comment);
  elsif part.comment is not null then
    execute format('comment on constraint %I on %s is %L', part.name, p_relation::regclass, part.comment);
  end if;
  if part.clustered then
    execute format('alter table %s cluster on %I', p_relation::regclass, part.name);
  end if;
end $$;

-- All that the server knows of a table's indexes and constraints, but for what is new each time one is made, and for
-- what an index calls its columns: the names that those of the table had then.
create or replace function hybrid_sync.bulk_shape(p_relation oid) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_agg(s.shape order by s.shape::text) from (
    select jsonb_build_array(
      pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'),
      to_jsonb(i) - '{indexrelid,indexprs,indpred,indcheckxmin}'::text[],
      to_jsonb(x) - '{oid,relfilenode,relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[],
      (select jsonb_agg(jsonb_build_array(a.attstattarget, a.attoptions) order by a.attnum)
       from pg_attribute a where a.attrelid = i.indexrelid)) as shape
    from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = p_relation
    union all
    select jsonb_build_array(pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'),
                             k.conindid::regclass::text, to_jsonb(k) - '{oid,conindid}'::text[])
    from pg_constraint k where k.conrelid = p_relation) s
$$;

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
  insert into hybrid_sync.bulk_part
    (entity, n, name, parent, definition, comment, clustered, proven, keys, rest, columns, prime)
  select p_entity, row_number() over (order by p.prime desc, p.parent nulls first, p.name), p.name, p.parent,
         p.definition, p.comment, p.clustered, p.proven, p.keys, p.rest, p.columns, p.prime
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
  first text;
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
  -- What a dropped column, or table, would have taken with it does not come back.
  if hybrid_sync.lacks_a_column(p_entity, part.n)
      or part.parent is not null and not exists (select from pg_class c where c.oid = part.parent) then
    null;
  elsif part.parent is null then  -- a primary key's index has its name
    if not exists (select from pg_index i join pg_class x on x.oid = i.indexrelid
                   where i.indrelid = place.relation and x.relname = part.name) then
      perform hybrid_sync.make_part(p_entity, place.relation, part.n);
    end if;
  else
    -- What it refers to is to be unique again before: the parent's load may end later, or have been left open.
    select b.entity into first from hybrid_sync.bulk_table b join hybrid_sync.bulk_part p on p.entity = b.entity
    where b.relation = part.parent and b.entity <> p_entity and p.prime limit 1;
    if found then
      return hybrid_sync.end_bulk(first);
    end if;
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

revoke all on function hybrid_sync.bulk_parts_of(oid) from public;
