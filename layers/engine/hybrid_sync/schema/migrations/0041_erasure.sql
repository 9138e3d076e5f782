-- People who were erased, and the keyed hashes of the legacy keys that are never written again as they were.

create table hybrid_sync.erasure (
  n            int primary key,                  -- the same number as in the copy outside the target
  at           timestamptz not null default clock_timestamp(),
  fingerprint  text not null,                    -- of the id secret under which the keys are hashed
  certificate  jsonb not null
);

create table hybrid_sync.suppressed (
  entity  text not null,
  source  text not null,
  bucket  bigint not null,                       -- of the key: one of 500
  hash    bytea not null,
  erasure int not null references hybrid_sync.erasure,
  primary key (entity, source, hash)
);

-- The last erasure; with the entity's row shared, none of it can be under way.
create function hybrid_sync.erasures(p_entity text) returns int
language plpgsql as $$
begin
  perform from hybrid_sync.entity_state s where s.entity = p_entity for share;
  return (select coalesce(max(e.n), 0) from hybrid_sync.erasure e);
end $$;
revoke all on function hybrid_sync.erasures(text) from public;

-- The worker may add to the list and never take from it; so it completes its certificate through its owner.
create function hybrid_sync.certify(p_n int, p_certificate jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update hybrid_sync.erasure set certificate = p_certificate where n = p_n and not certificate ? 'number'
$$;
revoke all on function hybrid_sync.certify(int, jsonb) from public;
