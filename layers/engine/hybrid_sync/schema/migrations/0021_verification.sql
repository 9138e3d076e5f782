-- How far the verification of a large entity is, which goes through it part by part; NULL where one call sees all of it.
alter table hybrid_sync.run_entity add column verification jsonb;
