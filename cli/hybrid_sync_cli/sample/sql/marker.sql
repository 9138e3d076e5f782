-- One row per world: what made these tables.  Only a database that carries it is ever changed by `mutate`.
create schema hybrid_sync_sample;
create table hybrid_sync_sample.marker (
  side text primary key check (side in ('legacy', 'target')),
  seed bigint not null,
  scale numeric not null
);
