-- The delete guard adds up what went within a week; what a plan warns of is told in the run's report.
create index delete_candidate_gone on hybrid_sync.delete_candidate (entity, source, done_at)
  where outcome in ('deleted', 'marked');

alter table hybrid_sync.run_entity add column warnings jsonb;  -- sentences
