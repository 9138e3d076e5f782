-- Unknown, where the run found the change and did not finish writing it.
alter table hybrid_sync.difference alter column fence_missed drop not null;
