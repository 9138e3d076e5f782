-- What runs with its owner's rights looks names up in pg_catalog alone: pg_temp is searched first unless it is named,
-- so that a temporary table could stand in for a catalog. Of operators only what is one goes into a statement.

alter function hybrid_sync.ensure_journal_partition(timestamptz) set search_path = pg_catalog, pg_temp;
alter function hybrid_sync.drop_journal_partitions(interval) set search_path = pg_catalog, pg_temp;

-- `p.a operator(s.=) c.b and …` over the columns of a foreign key.
create function hybrid_sync.matches(constraint_id oid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  pair record;
  found text := '';
begin
  for pair in
    select pa.attname as parent_column, ca.attname as child_column, n.nspname, o.oprname
    from pg_constraint k
    cross join unnest(k.confkey, k.conkey, k.conpfeqop) as u (parent_column, child_column, equals)
    join pg_attribute pa on pa.attrelid = k.confrelid and pa.attnum = u.parent_column
    join pg_attribute ca on ca.attrelid = k.conrelid and ca.attnum = u.child_column
    join pg_operator o on o.oid = u.equals
    join pg_namespace n on n.oid = o.oprnamespace
    where k.oid = constraint_id
  loop
    if pair.oprname !~ '^[-+*/<>=~!@#%^&|`?]+$' then
      raise exception 'an operator of a foreign key has a name that is none' using errcode = '42601';
    end if;
    found := found || case when found = '' then '' else ' and ' end
      || format('p.%I operator(%I.%s) c.%I', pair.parent_column, pair.nspname, pair.oprname, pair.child_column);
  end loop;
  return found;
end $$;
revoke all on function hybrid_sync.matches(oid) from public;

create or replace function hybrid_sync.referred(relation regclass, ids uuid[]) returns table (id uuid, by_constraint text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  link record;
begin
  for link in
    select k.conname, k.conrelid::regclass as child, k.conrelid = k.confrelid as to_itself,
           hybrid_sync.matches(k.oid) as matches
    from pg_constraint k
    where k.contype = 'f' and k.confrelid = relation and k.conparentid = 0
  loop
    return query execute format(
      'select p.id, %L::text from %s p where p.id = any($1) and exists (select from %s c where %s and not (%L and %s))',
      link.conname, relation, link.child, link.matches, link.to_itself,
      case when link.to_itself then 'c.id = any($1)' else 'false' end)
    using ids;
  end loop;
end $$;

create or replace function hybrid_sync.referring(relation regclass, ids uuid[], keys jsonb)
returns table (id uuid, by_constraint text, native boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  link record;
begin
  for link in
    select k.conname, k.conrelid::regclass as child, k.conrelid = k.confrelid as to_itself,
           hybrid_sync.matches(k.oid) as matches,
           coalesce((select string_agg('(' || (select string_agg(format('c.%I is null', name), ' or ')
                                               from jsonb_array_elements_text(one) as name) || ')', ' and ')
                     from jsonb_each(keys) as mapped (place, all_keys), jsonb_array_elements(all_keys) as one
                     where to_regclass(place) = k.conrelid), 'true') as is_native
    from pg_constraint k
    where k.contype = 'f' and k.confrelid = relation and k.conparentid = 0
  loop
    return query execute format(
      'select p.id, %L::text, bool_or(%s) from %s p join %s c on %s'
      ' where p.id = any($1) and not (%L and %s) group by p.id',
      link.conname, link.is_native, relation, link.child, link.matches, link.to_itself,
      case when link.to_itself then 'c.id = any($1)' else 'false' end)
    using ids;
  end loop;
end $$;
