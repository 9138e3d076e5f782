-- The build that planned a run: together with the catalog's hash, what every later step of the run has to be, too.
alter table hybrid_sync.run add column build text not null default '';
