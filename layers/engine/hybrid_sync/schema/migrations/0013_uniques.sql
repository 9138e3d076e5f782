-- A row of batch_done that settles unique values is no planned batch: it must not stand in for a missing one.
alter table hybrid_sync.batch_done
  add column step text not null default 'batch' check (step in ('batch', 'settle'));
