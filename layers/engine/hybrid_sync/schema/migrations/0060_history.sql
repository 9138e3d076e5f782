-- What touched one key is asked for by people, and no write shall pay for an index of all keys.  Pages are found by their
-- buckets (hybrid_sync.batch_done); links and removals, each a batch of its own name, by this.
create index journal_alone on hybrid_sync.journal (entity, source, keys) where operation in ('link', 'delete');
