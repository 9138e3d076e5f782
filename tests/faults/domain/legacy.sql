-- Legacy as Django leaves it: integer keys, no foreign keys that would forbid orphans, updated_at where somebody thought
-- of it. `rev` counts the committed changes of a row, so that a target which ever goes back is caught.
create table office (
  id int primary key, currency text not null, closed boolean not null default false, rev int not null default 0
);
create table team (
  id int primary key, name text not null, lead_id int, rev int not null default 0
);
create table person (
  id int primary key, email text not null unique, name text not null, team_id int, boss_id int,
  updated_at timestamptz not null default now(), rev int not null default 0
);
create table membership (
  person_id int not null, team_id int not null, role int not null default 1, rev int not null default 0,
  primary key (person_id, team_id)
);
create index on membership (team_id);
create table payment (
  id bigint primary key, person_id int not null, office_id int not null, total numeric(12,2) not null,
  paid boolean not null default false, canceled boolean not null default false,
  updated_at timestamptz not null default now(), rev int not null default 0
);
create table comment (
  id int primary key, author_id int, meta text, rev int not null default 0
);
-- In partitions, some of which come and go whole.
create table record (
  id int primary key, author_id int, meta text, rev int not null default 0
) partition by range (id);
create table record_near partition of record for values from (minvalue) to (1000000);
