-- The engine's own records, in the target and in the same transactions as the data they describe.
create schema if not exists hybrid_sync;

create table hybrid_sync.run (
  run_id         text primary key,
  profile        text not null check (profile in ('weekly', 'daily', 'on_demand', 'verify', 'rollback')),
  trigger        text not null,
  priority       text not null,
  request        jsonb not null,
  status         text not null default 'running'
                 check (status in ('running', 'succeeded', 'failed', 'cancelled')),
  fence          jsonb not null,                 -- commit snapshot of legacy, taken before anything was read
  catalog_hash   text not null,
  deadline_at    timestamptz not null,
  started_at     timestamptz not null default clock_timestamp(),
  finished_at    timestamptz,
  report         jsonb
);
create index run_started_at on hybrid_sync.run (started_at);

create table hybrid_sync.run_entity (
  run_id           text not null references hybrid_sync.run,
  entity           text not null,
  wave             int not null,
  status           text not null default 'waiting'
                   check (status in ('waiting', 'planned', 'verified', 'incomplete', 'failed')),
  detection        text,                          -- fence | full | timestamp | keys | range
  detection_reason text,
  fence_at_start   jsonb,                         -- what rollback rewinds to
  fence_version    bigint,                        -- compare-and-set guard of the advance
  fence_advanced   boolean not null default false,
  batches_planned  int,
  keys_planned     bigint,
  requested        jsonb,                         -- keys that the request (or its closure) names, per source
  conservation     jsonb,
  money            jsonb,
  links            jsonb,
  failure          jsonb,
  planned_at       timestamptz,
  finished_at      timestamptz,
  primary key (run_id, entity)
);

create table hybrid_sync.batch_done (
  batch_id    uuid primary key,                   -- hash of run, entity, source and range: a repeat finds it
  run_id      text not null references hybrid_sync.run,
  entity      text not null,
  source      text not null,
  lo          bigint not null,
  hi          bigint not null,
  result      jsonb,                              -- BatchResult
  seconds     double precision,
  xids        xid[] not null default '{}',        -- every transaction id the batch wrote with, savepoints included
  done_at     timestamptz not null default clock_timestamp()
);
create index batch_done_run on hybrid_sync.batch_done (run_id, entity);

create table hybrid_sync.run_failure (
  failure_id  bigint generated always as identity primary key,
  run_id      text not null,
  entity      text,
  state       text not null,
  error       text not null,
  cause       text not null,
  at          timestamptz not null default clock_timestamp()
);
create index run_failure_run on hybrid_sync.run_failure (run_id);

create table hybrid_sync.run_worker (
  run_id       text not null,
  function     text not null,
  worker       text not null,
  peak_rss_kib bigint not null,
  memory_mib   int not null,
  seen_at      timestamptz not null default clock_timestamp(),
  primary key (run_id, function, worker)
);

create table hybrid_sync.fence (
  entity          text primary key,
  fence           jsonb,
  definition_hash text,                           -- of the catalog definition and the relations it reads
  version         bigint not null default 0,
  run_id          text,
  advanced_at     timestamptz
);

create table hybrid_sync.entity_state (
  entity      text primary key,
  held        boolean not null default false,
  held_by     text,
  held_why    text,
  cache_epoch int not null default 0
);

create table hybrid_sync.bucket (
  entity text not null,
  source text not null,
  n      bigint not null,
  gen    bigint not null default 0,
  primary key (entity, source, n)
) with (fillfactor = 70);

create table hybrid_sync.failed_record (
  entity      text not null,
  source      text not null,
  key         bigint[] not null,
  reason      text not null,
  sqlstate    text,
  constraint_name text,
  column_name text,
  waits_for   jsonb,                              -- {"entity": …, "source": …, "key": …} of a missing parent
  present     boolean not null default false,     -- an older version of the row is in the target
  status      text not null default 'open'
              check (status in ('open', 'escalated', 'ignored', 'resolved')),
  attempts    int not null default 0,             -- retries from the queue, not runs
  first_run   text not null,
  last_run    text not null,
  first_seen  timestamptz not null default clock_timestamp(),
  last_seen   timestamptz not null default clock_timestamp(),
  ended_at    timestamptz,
  ended_by    text,
  queued_at   timestamptz,
  primary key (entity, source, key)
);
create index failed_record_open on hybrid_sync.failed_record (entity, source, status) where status <> 'resolved';
create index failed_record_run on hybrid_sync.failed_record (last_run);

create table hybrid_sync.pending_link (
  entity        text not null,
  source        text not null,
  key           bigint[] not null,
  column_name   text not null,
  parent_entity text not null,
  parent_source text not null,
  parent_key    bigint not null,
  run_id        text not null,
  since         timestamptz not null default clock_timestamp(),
  primary key (entity, source, key, column_name)
);
create index pending_link_parent on hybrid_sync.pending_link (parent_entity, parent_source, parent_key);

create table hybrid_sync.retired_id (
  entity     text not null,
  source     text not null,
  key        bigint[] not null,
  id         uuid not null,
  run_id     text not null,
  retired_at timestamptz not null default clock_timestamp(),
  primary key (entity, source, key)
);

create table hybrid_sync.journal (
  recorded_at timestamptz not null default clock_timestamp(),
  run_id      text not null,
  batch_id    uuid not null,
  entity      text not null,
  source      text not null,
  operation   text not null check (operation in ('insert', 'update', 'link', 'delete')),
  keys        bigint[] not null,                  -- of all inserted rows of the batch, or of the one changed row
  id          uuid,                               -- of the changed row
  xid         xid not null,                       -- undo only where the row still carries it
  before      jsonb                               -- before-image of the mapped columns
) partition by range (recorded_at);
create index journal_run on hybrid_sync.journal (run_id, entity);

-- One partition a week, made ahead of time; retention drops whole partitions.
create function hybrid_sync.ensure_journal_partition(moment timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  week_start timestamptz := date_trunc('week', moment at time zone 'UTC') at time zone 'UTC';
  name text := 'journal_' || to_char(week_start at time zone 'UTC', 'YYYYMMDD');
begin
  if to_regclass('hybrid_sync.' || name) is null then
    perform pg_advisory_xact_lock(hashtext('hybrid_sync.journal'));
    execute format('create table if not exists hybrid_sync.%I partition of hybrid_sync.journal for values from (%L) to (%L)',
                   name, week_start, week_start + interval '7 days');
    execute format('alter table hybrid_sync.%I enable row level security', name);
  end if;
end $$;

create function hybrid_sync.drop_journal_partitions(keep interval) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
  part record;
  dropped int := 0;
begin
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'hybrid_sync.journal'::regclass
      and to_timestamp(substr(c.relname, 9), 'YYYYMMDD') + interval '8 days' < now() - keep
  loop
    execute format('drop table hybrid_sync.%I', part.relname);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

revoke all on function hybrid_sync.ensure_journal_partition(timestamptz) from public;
revoke all on function hybrid_sync.drop_journal_partitions(interval) from public;
