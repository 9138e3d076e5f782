-- What each entity and source of the catalog was called when a run last saw it: what is kept of its rows is kept under
-- these names, and goes with them when the catalog calls it otherwise.
create table hybrid_sync.place (
  entity   text not null,
  source   text not null,
  reads    text not null,                        -- the base table of legacy, and what the key is made of
  target   text not null,
  left_at  timestamptz,                          -- since the catalog has it no more
  primary key (entity, source)
);
