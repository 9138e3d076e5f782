-- Who changed what of the deployment; and which deployment this schema belongs to.

create table hybrid_sync.audit (
  audit_id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  request_id text not null,
  who text not null,
  source_ip text not null,
  command text not null,
  what jsonb not null,
  outcome text not null check (outcome in ('done', 'refused', 'failed')),
  code text
);
create index on hybrid_sync.audit (at);
comment on table hybrid_sync.audit is
  'One line for each command of an operator that changes something; the worker may add lines, and nothing else.';

create table hybrid_sync.deployment (
  only_one boolean primary key default true check (only_one),
  name text not null,
  claimed_at timestamptz not null default clock_timestamp()
);
comment on table hybrid_sync.deployment is 'The deployment that has claimed this schema; no line: nobody has.';
