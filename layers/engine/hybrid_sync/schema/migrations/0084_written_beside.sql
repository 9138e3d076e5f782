-- Transactions of ours in which a trigger wrote more rows than we had: that we wrote a row in one of them says nothing of
-- what the row is, and `xids` are all the ids that it wrote with, exception blocks included.
create table hybrid_sync.written_beside (
  batch_id  uuid primary key,
  run_id    text not null,
  xids      xid[] not null,
  at        timestamptz not null default clock_timestamp()
);
create index written_beside_run on hybrid_sync.written_beside (run_id);
