-- Since when an entity is held: whoever looks at a hold asks that first.
alter table hybrid_sync.entity_state add column held_at timestamptz;
-- The last run that took the whole of an entity is looked up by entity.
create index run_entity_of_entity on hybrid_sync.run_entity (entity);
