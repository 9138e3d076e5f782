-- Where a policy of the target may hide rows from the worker, a run cannot say that all is right.
alter table hybrid_sync.run_entity add column hidden_rows jsonb;  -- sentences
