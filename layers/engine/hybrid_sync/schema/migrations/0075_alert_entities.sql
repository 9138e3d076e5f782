-- Whom an alert is about: a run of a part ends the alerts of its own entities, and none of others. Null is everything.
alter table hybrid_sync.alert add column entities text[];
