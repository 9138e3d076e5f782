-- The REST way in: a transaction that is said again.
--
-- PostgREST makes a transaction of each request, so no lock is held between two of them.  Whoever works that way sends
-- with each request all statements of its transaction so far; what they answer is compared with what it was answered
-- before, and either everything is undone and the new answers are sent back, or it commits.  What commits was thus
-- decided by just the answers that it has met again, under its own locks.

-- The generations of the buckets are among a run's first answers, so that a writer in between is noticed: it has bumped
-- them, whatever else it did.
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
     batches_planned, keys_planned, planned_at, warnings, hidden_rows)
  select p_run->>'run_id', e.entity, e.wave, e.requested, 'planned', 'keys', 'requested',
         jsonb_build_object('fence', f.fence, 'since', null, 'until', null), f.version, e.batches, e.keys,
         clock_timestamp(), nullif(e.warnings, '[]'), nullif(e.hidden_rows, '[]')
  from jsonb_to_recordset(p_entities) as e (entity text, wave int, requested jsonb, batches int, keys bigint,
                                            warnings jsonb, hidden_rows jsonb)
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

-- Without `p_xids` the transaction ids are those of the page's own entries in the journal: an id that was answered by
-- a transaction which is said again is no id of the one that commits.
create or replace function hybrid_sync.close_batch(
  p_run text, p_entity text, p_source text, p_failed jsonb, p_read text[], p_links jsonb, p_ended text[],
  p_unlinked text[], p_page uuid, p_result jsonb, p_seconds double precision, p_xids text[], p_until bigint[],
  p_retryable text[], out resolved int, out unqueued boolean)
language plpgsql as $$
begin
  resolved := hybrid_sync.record_outcome(p_run, p_entity, p_source, p_failed, p_read, p_links, p_ended, p_unlinked);
  update hybrid_sync.batch_done d
  set result = p_result || jsonb_build_object('resolved', close_batch.resolved), seconds = p_seconds,
      xids = coalesce(p_xids::xid[], array(
        select distinct j.xid::text from hybrid_sync.journal j where j.batch_id = p_page)::xid[]),
      until = p_until, done_at = clock_timestamp()
  where d.batch_id = p_page;
  unqueued := exists (
    select from hybrid_sync.failed_record f where f.entity = p_entity and f.source = p_source and f.status = 'open'
      and f.queued_at is null and f.key <> '{}' and f.reason = any(p_retryable));
end $$;

-- The only schema that PostgREST is to serve, and these two functions are all that is in it.
create schema if not exists hybrid_sync_api;
revoke all on schema hybrid_sync_api from public;

-- `said` holds `statements`, each a pair of its text and whether it answers rows; `seen`, how many of them have been
-- answered before; `digest`, that of their answers; and `commit`.
--
-- Answers the statements behind those, each with its names, types and rows (as the text of a record) or its count, and
-- the digest up to each; or `error`, what the server said of one of them; or `moved`, where what has been answered
-- before is answered otherwise now.  Unless `commit` is said, and nothing stands in the way, all of it is undone.
--
-- In a digest are no transaction ids and nothing that a clock says: they differ each time, and decide nothing.
create or replace function hybrid_sync_api.say(said jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
declare
  seen int := (said->>'seen')::int;
  clocks constant oid[] := array['timestamptz'::regtype, 'timestamp'::regtype, 'interval'::regtype, 'xid'::regtype];
  fleeting constant text[] := array['xids', 'seconds'];
  at int := 0;
  statement jsonb;
  one record;
  names text[]; types oid[]; shown text[]; rows text[]; value text; affected bigint;
  raw bytea; place int; kind oid; base oid;
  digest text := '';
  answers jsonb := '[]';
  digests jsonb := '[]';
  moved boolean := false;
  undone boolean := false;
  error jsonb;
  e_state text; e_message text; e_detail text; e_hint text; e_context text;
  e_column text; e_constraint text; e_type text; e_table text; e_schema text;
begin
  begin
    for statement in select s from jsonb_array_elements(said->'statements') with ordinality as u (s, n) order by n loop
      names := null; types := '{}'; rows := '{}'; affected := 0; value := '';
      if (statement->>1)::boolean then
        for one in execute statement->>0 loop
          if names is null then
            select coalesce(array_agg(k.k order by k.n), '{}'), '{}' into names, shown
            from json_object_keys(row_to_json(one)) with ordinality as k (k, n);
            raw := record_send(one);
            place := 5;  -- behind the number of fields; each brings its type, its length and its value
            for i in 1 .. cardinality(names) loop
              kind := ('x' || encode(substring(raw from place for 4), 'hex'))::bit(32)::bigint::oid;
              loop
                select t.typbasetype into base from pg_catalog.pg_type t where t.oid = kind and t.typtype = 'd';
                exit when base is null;
                kind := base;
              end loop;
              types := types || kind;
              if not (kind = any(clocks) or names[i] = any(fleeting)) then
                shown := shown || i::text;
              end if;
              place := place + 8 + greatest(('x' || encode(substring(raw from place + 4 for 4), 'hex'))::bit(32)::int, 0);
            end loop;
          end if;
          rows := rows || one::text;
          affected := affected + 1;
          if cardinality(shown) = cardinality(names) then
            value := md5(value || one::text);
          else
            value := md5(value || coalesce((
              select string_agg(coalesce(quote_literal(v.v), '-'), ',' order by v.n)
              from json_each_text(row_to_json(one)) with ordinality as v (k, v, n) where v.n::text = any(shown)), ''));
          end if;
        end loop;
      else
        execute statement->>0;
        get diagnostics affected = row_count;
      end if;
      digest := md5(concat_ws(' ', digest, affected, value));
      at := at + 1;
      if at = seen and digest is distinct from said->>'digest' then
        moved := true;
        exit;
      end if;
      if at > seen then
        digests := digests || to_jsonb(digest);
        answers := answers || jsonb_build_object(
          'names', to_jsonb(names), 'types', to_jsonb(types::bigint[]), 'rows', to_jsonb(rows), 'count', affected);
      end if;
    end loop;
    if moved or not (said->>'commit')::boolean then
      undone := true;
      raise exception using errcode = 'ZS099';  -- caught below: what was done goes, what was learnt stays
    end if;
  exception when others or assert_failure then
    if not undone then
      get stacked diagnostics e_state = returned_sqlstate, e_message = message_text, e_detail = pg_exception_detail,
        e_hint = pg_exception_hint, e_context = pg_exception_context, e_column = column_name,
        e_constraint = constraint_name, e_type = pg_datatype_name, e_table = table_name, e_schema = schema_name;
      moved := at < seen;
      error := jsonb_build_object(
        'sqlstate', e_state, 'message', e_message, 'detail', e_detail, 'hint', e_hint, 'context', e_context,
        'column', e_column, 'constraint', e_constraint, 'type', e_type, 'table', e_table, 'schema', e_schema,
        'statement', statement->>0);
    end if;
  end;
  return jsonb_build_object('moved', moved, 'error', error, 'answers', answers, 'digests', digests);
end $$;

-- The same in one snapshot: PostgREST begins the transaction with the isolation that a function asks for.  Nothing that
-- is said here commits.
create or replace function hybrid_sync_api.look(said jsonb) returns jsonb
language plpgsql volatile security invoker
set search_path = pg_catalog, pg_temp set default_transaction_isolation = 'repeatable read' as $$
begin
  return hybrid_sync_api.say(said || '{"commit": false}');
end $$;

revoke all on function hybrid_sync_api.say(jsonb) from public;
revoke all on function hybrid_sync_api.look(jsonb) from public;
