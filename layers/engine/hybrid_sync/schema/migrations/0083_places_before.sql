-- What each name meant before the catalog gave it to other rows: a run's journal is kept under the names of its time, and
-- an undo finds by what they meant then where the rows are now.
create table hybrid_sync.place_before (
  entity   text not null,
  source   text not null,
  until    timestamptz not null default clock_timestamp(),
  reads    text not null,
  target   text not null,
  primary key (entity, source, until)
);
