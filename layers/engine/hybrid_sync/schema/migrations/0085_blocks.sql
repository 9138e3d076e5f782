-- Rows that one statement changes share entries of the journal, as inserted rows do: `ids`, `priors` and `images` of an
-- entry stand in the order of its keys. An image is the text of a text[], of the values of `columns`. An entry of one
-- row, as all were before, has none of these.
alter table hybrid_sync.journal
  add column ids uuid[],
  add column priors xid[],
  add column columns text[],
  add column images text[];
-- To compress them would cost more than to write them.
alter table hybrid_sync.journal
  alter column ids set storage external,
  alter column priors set storage external,
  alter column images set storage external;
