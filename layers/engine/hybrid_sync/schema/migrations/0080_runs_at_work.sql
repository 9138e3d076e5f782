-- Runs are kept for ever, and which of them are at work is asked twice a second while somebody follows one, and of every
-- run in a list: whether it is being undone.
create index run_at_work on hybrid_sync.run (run_id) where status = 'running';
