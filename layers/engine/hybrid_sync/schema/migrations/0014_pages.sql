-- A batch is a sequence of pages, each a transaction of its own with its own line here: bounded by bytes and rows.
alter table hybrid_sync.batch_done
  add column batch uuid,                          -- whose page this is
  add column page int not null default 0,         -- counted from 0
  add column until bigint[];                      -- its last key, after which the next page begins; NULL: the batch ends
create index batch_done_batch on hybrid_sync.batch_done (batch, page) where batch is not null;
