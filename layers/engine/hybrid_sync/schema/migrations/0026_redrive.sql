-- Who has handed a failed record to the queue again last: a command that is repeated goes on where it was.
alter table hybrid_sync.failed_record add column redriven_by text;
