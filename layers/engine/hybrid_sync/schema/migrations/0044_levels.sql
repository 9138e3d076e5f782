-- What service levels are counted from besides runs: when the clocks were to start one, and how the API has answered.

create table hybrid_sync.clock (
  profile    text primary key,
  expression text not null,
  zone       text not null,
  looked_at  timestamptz not null                -- everything that was due before is in due_run
);

create table hybrid_sync.due_run (
  profile text not null,
  due     timestamptz not null,
  primary key (profile, due)
);

create table hybrid_sync.api_day (
  day        date primary key,                   -- UTC
  answers    bigint not null,
  failed     bigint not null,                    -- with a status of 500 to 599
  counted_at timestamptz not null
);
