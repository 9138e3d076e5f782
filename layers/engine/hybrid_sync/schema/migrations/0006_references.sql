-- What verification found of each reference column: rows that carry it, that have none in legacy, that wait for their
-- parent, that dangle, and that lost theirs.
alter table hybrid_sync.run_entity add column reference_counts jsonb;
