-- What is asked of a part's columns reads those of its own tables, by their index: for each part that a first load took
-- apart or made again, both functions read the columns of all tables (a quarter of what a load of twelve tables takes to
-- begin, and the more the larger the database's catalog is).

create or replace function hybrid_sync.lacks_a_column(p_entity text, p_n int) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from hybrid_sync.bulk_part p
    cross join jsonb_to_recordset(p.columns) as c (relation oid, number int2, name name)
    cross join lateral (select a.attisdropped from pg_attribute a
                        where a.attrelid = c.relation and a.attnum = c.number offset 0) a
    where p.entity = p_entity and p.n = p_n and a.attisdropped)
$$;

create or replace function hybrid_sync.renamed_columns(p_entity text, p_n int)
returns table (relation regclass, now name, aside name, was name)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with renamed as (
    select c.relation, c.number, c.name
    from hybrid_sync.bulk_part p cross join jsonb_to_recordset(p.columns) as c (relation oid, number int2, name name)
    cross join lateral (select a.attname from pg_attribute a
                        where a.attrelid = c.relation and a.attnum = c.number offset 0) a
    where p.entity = p_entity and p.n = p_n and a.attname <> c.name)
  select a.attrelid::regclass, a.attname, format('hybrid_sync aside %s', a.attnum)::name, r.name
  from (select distinct o.relation from renamed o) t
  cross join lateral (select a.attrelid, a.attnum, a.attname from pg_attribute a
                      where a.attrelid = t.relation and a.attnum > 0 and not a.attisdropped offset 0) a
  left join renamed r on r.relation = a.attrelid and r.number = a.attnum
  where r.number is not null or (a.attrelid, a.attname) in (select o.relation, o.name from renamed o)
  order by a.attrelid, a.attnum
$$;
