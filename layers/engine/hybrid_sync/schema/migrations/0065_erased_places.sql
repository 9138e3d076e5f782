-- Which rows of legacy the keys of the erased are of: an entity, or a source, may be called otherwise one day.
create table hybrid_sync.erased_place (
  entity  text not null,
  source  text not null,
  reads   text not null,                         -- the base table, and what the key is made of
  primary key (entity, source)
);
