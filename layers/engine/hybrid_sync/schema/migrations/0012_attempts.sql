-- How often a page of a batch has met with contention; the last attempt isolates the rows that are in the way.
create table hybrid_sync.batch_attempt (
  page_id  uuid primary key,
  run_id   text not null references hybrid_sync.run,
  attempts int not null default 1
);
create index batch_attempt_run on hybrid_sync.batch_attempt (run_id);
