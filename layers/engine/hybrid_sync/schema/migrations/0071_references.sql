-- Whether a change led a row to another parent, known when it is journalled; null where the before-image has to tell.
alter table hybrid_sync.journal add column refers_anew boolean;
