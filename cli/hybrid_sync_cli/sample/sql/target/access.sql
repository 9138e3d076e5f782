-- Roles, what happens by itself, and who may see what.

create table public.roles (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  name text not null unique,
  description text not null default '',
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create table public.role_permissions (
  id uuid primary key default gen_random_uuid(),
  legacy_role_id bigint,
  legacy_permission_id bigint,
  role_id uuid not null references public.roles,
  permission text not null,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (legacy_role_id, legacy_permission_id),
  check ((legacy_role_id is null) = (legacy_permission_id is null))
);
create index role_permissions_role_id on public.role_permissions (role_id);

-- The new application's own bookkeeping: updated_at is the time of the last write here, not in legacy.
create function public.touch_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end $$;
create trigger offices_touch before update on public.offices for each row execute function public.touch_updated_at();
create trigger profiles_touch before update on public.profiles for each row execute function public.touch_updated_at();
create trigger patients_touch before update on public.patients for each row execute function public.touch_updated_at();
create trigger cases_touch before update on public.cases for each row execute function public.touch_updated_at();
create trigger orders_touch before update on public.orders for each row execute function public.touch_updated_at();

-- No automatic grants on new tables: every one is stated.  Signed-in people see what is no secret.
do $$
declare t text;
begin
  foreach t in array array['offices', 'profiles', 'patients', 'cases', 'products', 'courses', 'orders', 'jaws',
    'projects', 'treatment_plans', 'tasks', 'case_messages', 'case_states', 'order_states', 'files', 'case_files',
    'message_attachments', 'payments', 'purchases', 'operations', 'roles', 'role_permissions', 'system_messages']
  loop
    execute format('alter table public.%I enable row level security', t);
    execute format('grant select, insert, update, delete on public.%I to service_role', t);
  end loop;
end $$;
grant select on public.offices, public.products, public.courses to authenticated;
create policy offices_signed_in on public.offices for select to authenticated using (is_active);
create policy products_signed_in on public.products for select to authenticated using (is_active);
create policy courses_signed_in on public.courses for select to authenticated using (deleted_at is null);
