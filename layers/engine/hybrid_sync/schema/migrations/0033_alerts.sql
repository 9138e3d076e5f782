-- What people have been told of: once for each cause, again when a day has passed, and when it is over.
create table hybrid_sync.alert (
  cause   text primary key,
  title   text not null,
  since   timestamptz not null default clock_timestamp(),
  told_at timestamptz not null default clock_timestamp(),
  times   int not null default 1
);
