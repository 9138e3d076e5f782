-- Pseudo-random values that depend on nothing but the seed and a row's ordinal: no random(), no now().
-- The row files keep a row's hash in a subquery with OFFSET 0: PostgreSQL would otherwise compute the md5 again for
-- every use (76 s instead of 25 s for two million notifications).

-- The legacy key of the n-th row: every eighth integer was deleted long ago.
create function hybrid_sync_sample.key(n bigint) returns integer
  language sql immutable parallel safe as 'select ((8 * n - 1) / 7)::integer';

create function hybrid_sync_sample.hash(seed bigint, label text, n bigint) returns text
  language sql immutable parallel safe as $$ select md5(seed || ':' || label || ':' || n) $$;

-- A whole number from 0 to choices - 1; slots 0 to 6 of one hash are independent.
create function hybrid_sync_sample.pick(hash text, slot integer, choices bigint) returns integer
  language sql immutable parallel safe as
  $$ select (mod(('x' || substr(hash, 4 * slot + 1, 7))::bit(28)::integer::bigint, choices))::integer $$;

-- True for exactly k of the ordinals 1..total, evenly spread.
create function hybrid_sync_sample.chosen(n bigint, k bigint, total bigint) returns boolean
  language sql immutable parallel safe as 'select mod(n * k, total) < k';

-- A time in the `days` before the world's last Sunday, to the microsecond.
create function hybrid_sync_sample.moment(hash text, slot integer, days integer) returns timestamptz
  language sql immutable parallel safe as $$
  select timestamptz '2026-11-22 00:00:00Z'
       - hybrid_sync_sample.pick(hash, slot, 86400::bigint * days) * interval '1.000037 second' $$;

-- An amount in dollars as the office's country would charge it; Japan has no decimals.
create function hybrid_sync_sample.local_price(dollars numeric, country text) returns numeric
  language sql immutable parallel safe as $$
  select case country when 'JP' then round(dollars * 150, -2) when 'IN' then round(dollars * 85, 2)
                      when 'TH' then round(dollars * 35, 2) else round(dollars, 2) end $$;

-- What tells people apart in logs of other systems: a random-looking UUID (version 4).
create function hybrid_sync_sample.random_uuid(hash text) returns uuid
  language sql immutable parallel safe as
  $$ select overlay(overlay(hash placing '4' from 13) placing substr('89ab', 1 + hybrid_sync_sample.pick(hash, 2, 4),
    1) from 17)::uuid $$;

-- The id that the one-time migration gave to a row.
create function hybrid_sync_sample.earlier(seed bigint, entity text, legacy_id bigint) returns uuid
  language sql immutable parallel safe as
  $$ select hybrid_sync_sample.random_uuid(hybrid_sync_sample.hash(seed, 'earlier ' || entity, legacy_id)) $$;
