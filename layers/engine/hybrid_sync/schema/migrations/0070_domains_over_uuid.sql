-- A target's `id` may be of a domain over uuid: a function that says uuid returns no domain's value (42804).
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
      'select p.id::uuid, %L::text from %s p where p.id = any($1) and exists (select from %s c where %s and not (%L and %s))',
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
      'select p.id::uuid, %L::text, bool_or(%s) from %s p join %s c on %s'
      ' where p.id = any($1) and not (%L and %s) group by p.id',
      link.conname, link.is_native, relation, link.child, link.matches, link.to_itself,
      case when link.to_itself then 'c.id = any($1)' else 'false' end)
    using ids;
  end loop;
end $$;

create or replace function hybrid_sync.unproven_rows(p_entity text, p_n int) returns table (id uuid)
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
    return query execute format('select c.id::uuid from %s c where (%s) and not exists (select from %s p where %s)',
      link.child, link.refers, link.parent, link.matches);
  end loop;
end $$;
