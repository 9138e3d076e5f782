-- What each run has used of AWS, by entity and function, as its workers have counted it; a price table makes dollars of it.
create table hybrid_sync.run_usage (
  run_id       text not null,
  entity       text not null,                     -- empty: of no single one
  function     text not null,
  memory_mib   int not null,
  calls        int not null,
  milliseconds bigint not null,                   -- as billed: each call's begun ones, and its worker's start
  transitions  int not null,                      -- states that the execution entered by these calls
  read_units   double precision not null,
  write_units  double precision not null,
  requests     jsonb not null,                    -- how many, by service:Operation
  primary key (run_id, entity, function)
);
