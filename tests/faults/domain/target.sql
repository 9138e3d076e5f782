-- The target: UUID keys, foreign keys, and `note`, a column that only people write (it counts their edits).
create type member_role as enum ('member', 'lead', 'guest');
-- Every seventh team has no members, and this is no entity: that it refuses them the engine cannot know before it writes.
create table admissions (legacy_team_id int primary key);
insert into admissions select n from generate_series(-99, 1999) n where n % 7 <> 0;
create table teams (
  id uuid primary key default gen_random_uuid(), legacy_team_id int unique, name text not null, size bigint,
  lead_id uuid, rev int, note int not null default 0
);
create table people (
  id uuid primary key default gen_random_uuid(), legacy_person_id int unique, email text not null unique,
  name text not null, team_id uuid references teams, boss_id uuid references people, updated_at timestamptz,
  rev int, note int not null default 0
);
alter table teams add foreign key (lead_id) references people;
create table memberships (
  id uuid primary key default gen_random_uuid(), legacy_person_id int, legacy_team_id int,
  person_id uuid references people, team_id uuid references teams deferrable initially deferred,
  role member_role not null,
  rev int, note int not null default 0, unique (legacy_person_id, legacy_team_id),
  foreign key (legacy_team_id) references admissions
);
create table invoices (
  id uuid primary key default gen_random_uuid(), legacy_payment_id bigint unique, payer_id uuid references people,
  currency text not null, total numeric(12,2) not null check (total < 4500), status text not null, rev int, office_rev int,
  note int not null default 0
);
create table receipts (
  id uuid primary key default gen_random_uuid(), legacy_payment_id bigint unique, invoice_id uuid references invoices,
  total numeric(12,2) not null, rev int, office_rev int, deleted_at timestamptz, note int not null default 0
);
create table messages (
  id uuid primary key default gen_random_uuid(), kind text, legacy_message_id int, author_id uuid references people,
  meta jsonb, rev int, note int not null default 0, unique (kind, legacy_message_id)
);

-- What a first load drops and makes again, of every kind.
create index on memberships (team_id, person_id) where role = 'member';
create index on receipts (invoice_id) include (total) with (fillfactor = 80);
create index by_age on receipts (deleted_at desc nulls last, rev);
alter table receipts cluster on by_age;
create index on messages (author_id);
create index on messages using hash (author_id);
create index on invoices ((rev + coalesce(office_rev, 0)));
create index on people (team_id, updated_at);
create index on people (boss_id);
comment on index by_age is 'the ''youngest'' first';
comment on constraint messages_author_id_fkey on messages is 'who wrote it';

-- What must never happen to a row is written down the moment it happens, whoever does it.
create schema probe;
create table probe.violation (
  kind text not null, relation text not null, id uuid, seen text not null,
  at timestamptz not null default clock_timestamp()
);
-- What breaks a foreign key after a first load leaves the table, and the journal says nothing of it.
create table probe.taken_back (relation text not null, key int[] not null);
create function probe.in_first_load(name) returns boolean language plpgsql stable security definer
set search_path = pg_catalog as $$ begin
  return exists (select from hybrid_sync.bulk_table where entity = $1::text and run_id is not null);
end $$;
create function probe.watch() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
declare
  o jsonb := to_jsonb(old);
  n jsonb := case when tg_op = 'UPDATE' then to_jsonb(new) end;
  ours boolean := session_user = 'hybrid_sync_worker';
  part text;
begin
  if ours and o->>(string_to_array(tg_argv[0], ','))[1] is null then
    insert into probe.violation values ('touched', tg_table_name, old.id, tg_op);
  end if;
  if tg_op = 'DELETE' then
    -- Only messages are deleted when legacy deletes them; and rows of a first load that break a foreign key, before its end.
    if ours and tg_table_name <> 'messages' and probe.in_first_load(tg_table_name) then
      insert into probe.taken_back
      select tg_table_name, array_agg((o->>name)::int) from unnest(string_to_array(tg_argv[0], ',')) name;
    elsif ours and tg_table_name <> 'messages' then
      insert into probe.violation values ('touched', tg_table_name, old.id, 'deleted');
    end if;
    return null;
  end if;
  if old.id <> new.id then insert into probe.violation values ('wrong_ids', tg_table_name, old.id, new.id::text); end if;
  foreach part in array string_to_array(tg_argv[0], ',') loop
    if o->>part is distinct from n->>part then
      insert into probe.violation values ('wrong_ids', tg_table_name, old.id, part);
    end if;
  end loop;
  foreach part in array string_to_array(tg_argv[1], ',') loop
    if (n->>part)::bigint < (o->>part)::bigint then
      insert into probe.violation values ('reversed', tg_table_name, old.id, part || ' ' || (o->>part) || '>' || (n->>part));
    end if;
  end loop;
  if (n->>'note')::int < (o->>'note')::int or (ours and n->>'note' <> o->>'note') then
    insert into probe.violation values ('touched', tg_table_name, old.id, 'note');
  end if;
  return null;
end $$;

create trigger watch after update or delete on teams for each row execute function probe.watch('legacy_team_id', 'rev,size');
create trigger watch after update or delete on people for each row execute function probe.watch('legacy_person_id', 'rev');
create trigger watch after update or delete on memberships
  for each row execute function probe.watch('legacy_person_id,legacy_team_id', 'rev');
create trigger watch after update or delete on invoices
  for each row execute function probe.watch('legacy_payment_id', 'rev,office_rev');
create trigger watch after update or delete on receipts
  for each row execute function probe.watch('legacy_payment_id', 'rev,office_rev');
create trigger watch after update or delete on messages for each row execute function probe.watch('legacy_message_id,kind', 'rev');
