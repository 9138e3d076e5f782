-- Makes a plain PostgreSQL look like a Supabase project: roles, schemas, limits, auth functions.
-- Run by the cluster's superuser (supabase_admin) in the project's database. May be repeated.
do $$
declare
  r text;
begin
  foreach r in array array['anon', 'authenticated', 'service_role', 'authenticator', 'postgres'] loop
    if not exists (select from pg_roles where rolname = r) then
      execute format('create role %I', r);
    end if;
  end loop;
end $$;

alter role anon nologin;
alter role authenticated nologin;
alter role service_role nologin bypassrls;
alter role authenticator login noinherit;
alter role postgres login nosuperuser createdb createrole replication bypassrls;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
-- Hosted projects let `postgres` hand these on (it is how a watcher of other sessions is made).
grant pg_monitor, pg_signal_backend to postgres with admin option;
do $$
begin
  if exists (select from pg_roles where rolname = 'pg_read_all_data') then  -- came with PostgreSQL 14
    grant pg_read_all_data to postgres with admin option;
  end if;
end $$;

-- The limits that hosted projects impose.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role postgres set search_path = "$user", public, extensions;
create schema if not exists extensions;
create schema if not exists auth;
create schema if not exists storage;
alter schema public owner to postgres;
alter schema extensions owner to postgres;
grant usage on schema public, extensions to anon, authenticated, service_role;
grant all on schema public, extensions to postgres;
grant usage on schema auth to anon, authenticated, service_role, postgres;

create table if not exists auth.users (
  id uuid primary key default gen_random_uuid(),
  email text unique,
  created_at timestamptz default now()
);
grant all on auth.users to postgres;

create or replace function auth.jwt() returns jsonb language sql stable as $f$
  select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb
$f$;
create or replace function auth.uid() returns uuid language sql stable as $f$
  select (auth.jwt() ->> 'sub')::uuid
$f$;
create or replace function auth.role() returns text language sql stable as $f$
  select auth.jwt() ->> 'role'
$f$;

do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
end $$;

-- As hosted: PostgREST reloads its schema cache after every change of structure.
create or replace function extensions.reload_api_on_ddl() returns event_trigger language plpgsql as $f$
begin
  notify pgrst, 'reload schema';
end $f$;
drop event trigger if exists api_ddl;
create event trigger api_ddl on ddl_command_end execute function extensions.reload_api_on_ddl();
drop event trigger if exists api_drop;
create event trigger api_drop on sql_drop execute function extensions.reload_api_on_ddl();
-- As hosted since 2026-10-30: new tables in public get no grants; each is granted by name.
