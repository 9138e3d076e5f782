-- One record may stand for several rows of legacy: those that share a key, and those that have none (key '{}').
alter table hybrid_sync.failed_record add column rows int not null default 1 check (rows > 0);
