-- A before-image names columns as they were called; a run records their numbers, by which an undo finds them when somebody
-- has given them other names since.
alter table hybrid_sync.run_entity add column columns jsonb;  -- relation, and numbers by name

create function hybrid_sync.columns_of(p_table text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('relation', a.attrelid, 'numbers', jsonb_object_agg(a.attname, a.attnum))
  from pg_attribute a where a.attrelid = to_regclass(p_table) and a.attnum > 0 and not a.attisdropped group by a.attrelid
$$;

-- A worker that does not know it names no table, and the run then has no numbers.
create or replace function hybrid_sync.open_run(
  p_run jsonb, p_entities jsonb, p_parts jsonb, out refused text, out detail text, out entity text, out opened jsonb)
language plpgsql as $$
declare
  part record;
  page record;
begin
  perform hybrid_sync.ensure_journal_partition(now()), hybrid_sync.ensure_journal_partition(now() + interval '7 days');
  insert into hybrid_sync.entity_state (entity) select e->>'entity' from jsonb_array_elements(p_entities) e
  order by 1 on conflict do nothing;
  insert into hybrid_sync.fence (entity) select e->>'entity' from jsonb_array_elements(p_entities) e
  order by 1 on conflict do nothing;
  insert into hybrid_sync.run
    (run_id, profile, trigger, priority, request, fence, catalog_hash, build, deadline_at, at_once)
  select r.run_id, r.profile, r.trigger, r.priority, r.request, r.fence, r.catalog_hash, r.build,
         clock_timestamp() + make_interval(secs => r.deadline), true
  from jsonb_to_record(p_run) as r (run_id text, profile text, trigger text, priority text, request jsonb, fence jsonb,
                                    catalog_hash text, build text, deadline double precision)
  on conflict (run_id) do nothing;
  if not found then
    refused := 'recorded';
    return;
  end if;
  insert into hybrid_sync.run_entity
    (run_id, entity, wave, requested, status, detection, detection_reason, fence_at_start, fence_version,
     batches_planned, keys_planned, planned_at, warnings, hidden_rows, columns)
  select p_run->>'run_id', e.entity, e.wave, e.requested, 'planned', 'keys', 'requested',
         jsonb_build_object('fence', f.fence, 'since', null, 'until', null), f.version, e.batches, e.keys,
         clock_timestamp(), nullif(e.warnings, '[]'), nullif(e.hidden_rows, '[]'), hybrid_sync.columns_of(e.target)
  from jsonb_to_recordset(p_entities) as e (entity text, target text, wave int, requested jsonb, batches int,
                                            keys bigint, warnings jsonb, hidden_rows jsonb)
  join hybrid_sync.fence f on f.entity = e.entity;
  for entity in select e->>'entity' from jsonb_array_elements(p_entities) e order by 1 loop
    select e.refused, e.detail into refused, detail from hybrid_sync.enter(p_run->>'run_id', entity) e;
    if refused is not null then
      return;
    end if;
  end loop;
  opened := '[]';
  for part in
    select * from rows from (jsonb_to_recordset(p_parts) as (
        entity text, source text, buckets bigint[], page uuid, lo bigint, hi bigint, first bigint, last bigint,
        entities text[])) with ordinality
    order by ordinality
  loop
    select * into page from hybrid_sync.open_batch(
      p_run->>'run_id', part.entity, part.source, part.buckets, part.page, part.page, 0, part.lo, part.hi, part.first,
      part.last, '{}', part.entities);
    opened := opened || jsonb_build_array(jsonb_build_array(
      page.done, page.planned, page.detection, page.epochs, page.waiting, page.marked, page.retired));
    -- Where nothing is refused, the detail holds the generations: a worker that does not know it does not look there.
    select concat_ws(' ', detail, string_agg(b.gen::text, ' ' order by b.n)) into detail from hybrid_sync.bucket b
    where b.entity = part.entity and b.source = part.source and b.n = any(part.buckets);
  end loop;
end $$;

revoke all on function hybrid_sync.columns_of(text) from public;
