-- Where the time of each run's calls went, by entity and function, as their workers measured it: {"part": […]} of a part's own
-- time, {"part side": […]} of the waits for a side within it; each [how often, µs together, the shortest, the longest].
alter table hybrid_sync.run_usage add column times jsonb not null default '{}';

create function hybrid_sync.add_times(before jsonb, added jsonb) returns jsonb language sql immutable
set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_object_agg(name, jsonb_build_array(n, micros, least, most)), '{}')
  from (select name, sum((t->>0)::bigint) as n, sum((t->>1)::bigint) as micros, min((t->>2)::bigint) as least,
               max((t->>3)::bigint) as most
        from (select * from jsonb_each(before) union all select * from jsonb_each(added)) as one(name, t) group by name) summed
$$;
