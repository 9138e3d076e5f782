-- Deletes: what became of each candidate, which rows are marked as deleted, and what would fall with a row.

alter table hybrid_sync.delete_candidate
  add column outcome text check (outcome in ('deleted', 'marked', 'kept', 'back', 'absent')),
  add column reason text,                         -- why it was kept
  add column constraint_name text,
  add column sqlstate text,
  add column done_at timestamptz;
create index delete_candidate_open on hybrid_sync.delete_candidate (run_id, entity) where outcome is null;

alter table hybrid_sync.run_entity add column deletes jsonb;  -- candidates, deleted, soft, undeleted, refused, guarded

-- A row that is marked as deleted stays where it is: its columns before and after, so that just those are put back
-- when its key returns, and only where nobody has changed them since.
create table hybrid_sync.tombstone (
  entity    text not null,
  source    text not null,
  key       bigint[] not null,
  run_id    text not null,
  at        timestamptz not null default clock_timestamp(),
  before    jsonb not null,
  written   jsonb not null,
  ended_run text,                                 -- the run that brought the row back; null while it is in effect
  ended_at  timestamptz,
  primary key (entity, source, key)
);
create index tombstone_ended on hybrid_sync.tombstone (ended_run, entity) where ended_run is not null;

-- Which of these rows a foreign key refers to, and whether a row that we do not manage does; references among the rows
-- themselves do not count. `keys` names the legacy key columns of each mapped table, as {"table": [["column", …], …]}:
-- a row of such a table is ours when one of its keys is filled, a row of any other table is native.
-- With its owner's rights: the tables of native children are none of the worker's business.
create function hybrid_sync.referring(relation regclass, ids uuid[], keys jsonb)
returns table (id uuid, by_constraint text, native boolean)
language plpgsql stable security definer set search_path = pg_catalog as $$
declare
  link record;
begin
  for link in
    select k.conname, k.conrelid::regclass as child, k.conrelid = k.confrelid as to_itself,
           (select string_agg(format('p.%I operator(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' and ')
            from unnest(k.confkey, k.conkey, k.conpfeqop) as u(parent_column, child_column, equals)
            join pg_attribute pa on pa.attrelid = k.confrelid and pa.attnum = u.parent_column
            join pg_attribute ca on ca.attrelid = k.conrelid and ca.attnum = u.child_column
            join pg_operator o on o.oid = u.equals
            join pg_namespace n on n.oid = o.oprnamespace) as matches,
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
revoke all on function hybrid_sync.referring(regclass, uuid[], jsonb) from public;
