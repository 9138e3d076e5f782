-- What a reconcile compared, what it found, and what the delete step may look at.
alter table hybrid_sync.run_entity add column reconcile jsonb;

create table hybrid_sync.reconcile_segment (
  run_id      text not null references hybrid_sync.run,
  entity      text not null,
  n           int not null,
  source      text not null,
  lo          bigint,                             -- first part of the legacy key, from here (null: no lower end) …
  hi          bigint,                             -- … to before here
  legacy_rows bigint not null,                    -- settled rows whose checksums were compared
  target_rows bigint not null,
  in_flight   bigint not null,                    -- keys that legacy changed meanwhile, left out on both sides
  suspected   bigint not null,
  seconds     double precision not null,
  done_at     timestamptz not null default clock_timestamp(),
  primary key (run_id, entity, n)
);

create table hybrid_sync.difference (
  run_id       text not null references hybrid_sync.run,
  entity       text not null,
  source       text not null,
  key          bigint[] not null,
  segment      int not null,
  state        text not null default 'suspected'
               check (state in ('suspected', 'confirmed', 'healed', 'in_flight', 'persists')),
  kind         text check (kind in ('changed', 'missing', 'unrecorded', 'unjoined')),
  columns      text[] not null default '{}',      -- names of the columns that differ
  origin       text check (origin in ('legacy', 'target', 'both')),
  fence_missed boolean not null default false,    -- legacy changed it where the fence should have seen it
  heal         boolean not null default false,
  found_at     timestamptz not null default clock_timestamp(),
  primary key (run_id, entity, source, key)
);
create index difference_key on hybrid_sync.difference (entity, source, key) where origin <> 'legacy';

-- In the target and gone from legacy, or excluded there by a rule: the delete step looks at each again under its lock.
create table hybrid_sync.delete_candidate (
  run_id   text not null references hybrid_sync.run,
  entity   text not null,
  source   text not null,
  key      bigint[] not null,
  why      text not null check (why in ('gone', 'excluded')),
  found_at timestamptz not null default clock_timestamp(),
  primary key (run_id, entity, source, key)
);

-- Entries of the id map's cache that were not the target's; the cache has been forgotten since.
create table hybrid_sync.wrong_id (
  run_id   text not null references hybrid_sync.run,
  entity   text not null,
  source   text not null,
  key      bigint[] not null,
  found_at timestamptz not null default clock_timestamp(),
  primary key (run_id, entity, source, key)
);
