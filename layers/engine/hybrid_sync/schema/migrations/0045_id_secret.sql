-- A keyed fingerprint of the id secret under which the ids of this target are made: under another secret the same legacy
-- key would get another id, and nobody would know who was erased.

create table hybrid_sync.id_secret (
  only_one    boolean primary key default true check (only_one),
  fingerprint text not null,
  recorded_at timestamptz not null default clock_timestamp()
);
comment on table hybrid_sync.id_secret is
  'No line: the next run that plans records its own. Where a secret is lost for good, its owner deletes the line.';
