-- Undoing a run: what the journal has to tell besides the before-image, and what an undo could not take back.

-- A sequence and not the clock: a row that refers to another was journalled after it, whatever the clock did.
create sequence hybrid_sync.journal_seq;
alter table hybrid_sync.journal
  add column seq bigint not null default nextval('hybrid_sync.journal_seq'),
  add column prior xid,        -- the version that was overwritten; a gap to the version before tells a native edit
  add column restores xid;     -- written by an undo: the version that its write brought back
create index journal_batch on hybrid_sync.journal (batch_id, seq);
create index journal_version on hybrid_sync.journal (((xid::text)::bigint), id);
create index journal_deleted on hybrid_sync.journal (id) where operation = 'delete';

alter table hybrid_sync.run
  add column undoes text references hybrid_sync.run,
  add column undone_by text references hybrid_sync.run;
create index run_undoes on hybrid_sync.run (undoes) where undoes is not null;

alter table hybrid_sync.run_entity add column undo jsonb;  -- of a rollback: counts, and conflicts by reason
alter table hybrid_sync.run_entity drop constraint run_entity_status_check;
alter table hybrid_sync.run_entity add constraint run_entity_status_check
  check (status in ('waiting', 'planned', 'verified', 'incomplete', 'failed', 'undone'));

create table hybrid_sync.rollback_conflict (
  run_id          text not null references hybrid_sync.run,   -- the rollback
  entity          text not null,
  source          text not null,
  key             bigint[] not null,
  operation       text not null,
  reason          text not null
                  check (reason in ('superseded', 'edited', 'gone', 'referenced', 'occupied', 'refused')),
  by_run          text,                            -- the run that wrote the row since
  constraint_name text,
  sqlstate        text,
  before_hash     text,                            -- of the mapped columns before the run
  written_hash    text,                            -- as the run left them, where the journal still tells
  current_hash    text,                            -- as they are now
  at              timestamptz not null default clock_timestamp(),
  primary key (run_id, entity, source, key)
);

-- Which of these rows a foreign key still refers to, and by which constraint; references among the rows themselves
-- do not count. With its owner's rights: the tables of native children are none of the worker's business.
create function hybrid_sync.referred(relation regclass, ids uuid[]) returns table (id uuid, by_constraint text)
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
            join pg_namespace n on n.oid = o.oprnamespace) as matches
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
revoke all on function hybrid_sync.referred(regclass, uuid[]) from public;
