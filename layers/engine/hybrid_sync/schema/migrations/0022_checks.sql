-- What checks have found, in counts: a scheduled run starts only where its catalog has passed one.
create table hybrid_sync.deployment_check (
  check_id      text primary key,                -- the execution's name
  catalog_hash  text not null,
  passed        boolean not null,
  errors        int not null,
  warnings      int not null,
  notes         int not null,
  report        text not null,                   -- s3://…, where the findings are
  checked_at    timestamptz not null default clock_timestamp()
);
create index deployment_check_catalog on hybrid_sync.deployment_check (catalog_hash, checked_at);
