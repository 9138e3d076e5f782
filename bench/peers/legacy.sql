-- A legacy database of twelve tables. Every value is arithmetic or md5 of its key, so that each machine makes the same.
-- The setting bench.scale says how much: 1 is 496,162 rows.
set timezone = 'UTC';
create schema made;
create function made.n(rows int) returns int stable language sql as
  $$ select greatest(13, round(rows * current_setting('bench.scale')::float8))::int $$;
create function made.h(i bigint, salt int, below int) returns int immutable language sql as
  $$ select ((hashint8extended(i, salt) & 9223372036854775807) % below)::int $$;
create function made.at(i bigint, rows bigint) returns timestamptz immutable language sql as
  $$ select timestamptz '2019-01-01 00:00:00+00' + make_interval(secs => (i::float8 / rows) * 180000000.0)
          + make_interval(secs => ((hashint8extended(i, 77) & 9223372036854775807) % 1000000) / 1000000.0) $$;
create function made.later(i bigint, rows bigint) returns timestamptz immutable language sql as
  $$ select made.at(i, rows) + make_interval(hours => made.h(i, 6, 500)) $$;
set search_path = public, made;

create table users (
  id int, email text, first_name text, last_name text, role smallint, is_active bool,
  created_at timestamptz, updated_at timestamptz);
insert into users
select i, 'User' || i || '@Example' || h(i, 1, 50) || '.com', 'First' || h(i, 2, 900), 'Last' || h(i, 3, 4000),
       h(i, 4, 6), h(i, 5, 10) <> 0, at(i, n), later(i, n)
from n(6800) n, generate_series(1, n) i;

create table offices (
  id int, user_id int, name text, address text, phone text, created_at timestamptz, updated_at timestamptz);
insert into offices
select i, 1 + h(i, 11, n(6800)), 'Office ' || i, h(i, 12, 9999) || ' Main Street, City ' || h(i, 13, 300),
       '+1555' || lpad(h(i, 14, 9999999)::text, 7, '0'), at(i, n), later(i, n)
from n(680) n, generate_series(1, n) i;

create table patients (
  id int, office_id int, first_name text, last_name text, dob date, gender smallint,
  created_at timestamptz, updated_at timestamptz);
insert into patients
select i, 1 + h(i, 21, n(680)), 'Pat' || h(i, 22, 900), 'Ient' || h(i, 23, 9000), date '1950-01-01' + h(i, 24, 25000),
       h(i, 25, 3), at(i, n), later(i, n)
from n(13600) n, generate_series(1, n) i;

create table cases (
  id int, number text, patient_id int, office_id int, creator_id int, status smallint, notes text, due date,
  created_at timestamptz, updated_at timestamptz);
insert into cases
select i, 'C-' || lpad(i::text, 7, '0'), 1 + h(i, 31, n(13600)), 1 + h(i, 32, n(680)),
       case when h(i, 33, 20) <> 0 then 1 + h(i, 34, n(6800)) end, h(i, 35, 8),
       case when h(i, 36, 3) <> 0 then repeat(md5(i::text) || ' ', 1 + h(i, 37, 5)) end,
       date '2019-01-01' + h(i, 38, 2200), at(i, n), later(i, n)
from n(20400) n, generate_series(1, n) i;

create table case_messages (
  id int, case_id int, author_id int, body text, is_internal bool, created_at timestamptz, updated_at timestamptz);
insert into case_messages
select i, 1 + h(i, 41, n(20400)), 1 + h(i, 42, n(6800)),
       'Dear Doctor, "' || left(repeat(md5(i::text) || E' line\n', 8), 100 + h(i, 43, 200)) || E'\t ende, Größe ok',
       h(i, 44, 4) = 0, at(i, n), later(i, n)
from n(54400) n, generate_series(1, n) i;

create table case_states (
  id int, case_id int, changed_by_id int, state smallint, created_at timestamptz, updated_at timestamptz);
insert into case_states
select i, 1 + h(i, 51, n(20400)), 1 + h(i, 52, n(6800)), h(i, 53, 8), at(i, n), later(i, n)
from n(18700) n, generate_series(1, n) i;

create table case_files (
  id int, case_id int, uploader_id int, name text, path text, size bigint, mime text,
  created_at timestamptz, updated_at timestamptz);
insert into case_files
select i, 1 + h(i, 61, n(20400)), 1 + h(i, 62, n(6800)), 'scan_' || i || '.stl',
       'media/cases/' || md5(i::text) || '/scan_' || i || '.stl', 1000 + h(i, 63, 90000000),
       (array['model/stl', 'image/png', 'application/pdf'])[1 + h(i, 64, 3)], at(i, n), later(i, n)
from n(54400) n, generate_series(1, n) i;

create table message_attachments (
  id int, message_id int, file_id int, name text, created_at timestamptz, updated_at timestamptz);
insert into message_attachments
select i, 1 + h(i, 71, n(54400)), 1 + h(i, 72, n(54400)), 'att_' || i, at(i, n), later(i, n)
from n(29580) n, generate_series(1, n) i;

create table purchases (
  id int, case_id int, user_id int, amount numeric(12,2), tax numeric(12,2), currency text, status smallint,
  created_at timestamptz, updated_at timestamptz);
insert into purchases
select i, 1 + h(i, 81, n(20400)), 1 + h(i, 82, n(6800)), (h(i, 83, 900000) / 100.0)::numeric(12,2),
       (h(i, 84, 90000) / 100.0)::numeric(12,2), 'USD', h(i, 85, 8), at(i, n), later(i, n)
from n(12580) n, generate_series(1, n) i;

create table operations (
  id int, case_id int, user_id int, kind text, price numeric(12,2), detail text,
  created_at timestamptz, updated_at timestamptz);
insert into operations
select i, 1 + h(i, 91, n(20400)), 1 + h(i, 92, n(6800)), 'op' || h(i, 93, 12),
       (h(i, 94, 500000) / 100.0)::numeric(12,2), 'detail ' || md5(i::text), at(i, n), later(i, n)
from n(12580) n, generate_series(1, n) i;

create table role_permissions (id int, role text, permission text, created_at timestamptz, updated_at timestamptz);
insert into role_permissions
select i, 'role' || i % 13, 'perm.' || i / 13, at(i, n), at(i, n)
from n(442) n, generate_series(1, n) i;

create table system_messages (
  id int, user_id int, template text, template_context jsonb, is_read bool,
  created_at timestamptz, updated_at timestamptz);
insert into system_messages
select i, 1 + h(i, 101, n(6800)), 'tpl_' || h(i, 102, 40),
       jsonb_build_object(
         'case_id', c, 'case_number', 'C-' || lpad(c::text, 7, '0'),
         'url', 'https://app.example.com/cases/' || c || '/messages',
         'actor', jsonb_build_object('id', 1 + h(i, 104, n(6800)), 'name', 'First' || h(i, 105, 900) || ' Last'),
         'items', jsonb_build_array(h(i, 106, 1000), h(i, 107, 1000), h(i, 108, 1000)),
         'note', left(md5(i::text) || md5((i + 1)::text), 20 + h(i, 109, 44))),
       h(i, 110, 3) <> 0, at(i, n), later(i, n)
from n(272000) n, generate_series(1, n) i, lateral (select 1 + h(i, 103, n(20400)) as c) one;

do $$
declare t text;
begin
  foreach t in array array['users', 'offices', 'patients', 'cases', 'case_messages', 'case_states', 'case_files',
                           'message_attachments', 'purchases', 'operations', 'role_permissions', 'system_messages'] loop
    execute format(
      'alter table %I add primary key (id), alter created_at set not null, alter updated_at set not null', t);
    execute format('create index on %I (updated_at)', t);
  end loop;
end $$;
drop schema made cascade;
