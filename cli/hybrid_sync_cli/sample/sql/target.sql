-- The modern side, as a Supabase project would have it: uuid keys, a unique legacy key on every table,
-- row level security, explicit grants.  Columns that no catalog file maps (internal_note, updated_at,
-- assigned_team ...) belong to the people who work in the new system.  PostgreSQL 15 and newer, no extensions.

create type public.sex as enum ('unknown', 'male', 'female');
create type public.profile_type as enum ('technician', 'doctor', 'patient', 'other');
create type public.case_status as enum ('draft', 'submitted', 'records_review', 'planning', 'plan_review',
  'revision', 'approved', 'production', 'shipped', 'completed', 'on_hold');
create type public.order_status as enum ('draft', 'submitted', 'in_production', 'completed');
create type public.operation_type as enum ('payment', 'refund');

create table public.offices (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  name text not null,
  address text not null default '',
  city text not null default '',
  postal_code text not null default '',
  country text not null,
  currency text not null check (currency in ('USD', 'JPY', 'INR', 'THB')),
  tax_rate numeric(6,4) not null default 0,
  emails text not null default '',
  processor_customer_ref text,
  is_active boolean not null default true,
  internal_note text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table public.profiles (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  username text not null,
  email text not null,
  first_name text not null default '',
  last_name text not null default '',
  type public.profile_type not null,
  is_active boolean not null default true,
  is_staff boolean not null default false,
  is_suspended boolean not null default false,
  joined_at timestamptz,
  last_login_at timestamptz,
  avatar_url text,
  internal_note text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index profiles_email on public.profiles (email);

create table public.patients (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  profile_id uuid not null references public.profiles,
  doctor_id uuid references public.profiles,
  office_id uuid references public.offices,
  birthdate date,
  sex public.sex not null default 'unknown',
  suffix text not null default '',
  is_archived boolean not null default false,
  is_suspended boolean not null default false,
  schemes jsonb,
  source_updated_at timestamptz,
  deleted_at timestamptz,
  internal_note text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index patients_profile_id on public.patients (profile_id);
create index patients_doctor_id on public.patients (doctor_id);
create index patients_office_id on public.patients (office_id);

-- current_plan_id is linked last: a plan belongs to an order, an order to a case.
create table public.cases (
  id uuid primary key default gen_random_uuid(),
  legacy_patient_id bigint unique,
  number text not null unique,
  patient_id uuid not null references public.patients,
  doctor_id uuid references public.profiles,
  current_plan_id uuid,
  status public.case_status not null,
  submitted_at timestamptz,
  deleted_at timestamptz,
  assigned_team text,
  internal_note text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index cases_patient_id on public.cases (patient_id);
create index cases_doctor_id on public.cases (doctor_id);
create index cases_current_plan_id on public.cases (current_plan_id);

create table public.products (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  code text not null,
  name text not null,
  list_price numeric(12,2) not null check (list_price >= 0),
  currency text not null default 'USD',
  is_active boolean not null default true,
  deleted_at timestamptz,
  marketing_text text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create table public.courses (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  product_id uuid references public.products,
  name text not null,
  weeks integer not null,
  list_price numeric(12,2) not null check (list_price >= 0),
  currency text not null default 'USD',
  deleted_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index courses_product_id on public.courses (product_id);

create table public.orders (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  case_id uuid references public.cases,
  patient_id uuid references public.patients,
  doctor_id uuid references public.profiles,
  office_id uuid references public.offices,
  course_id uuid references public.courses,
  upper_jaw_id uuid,
  lower_jaw_id uuid,
  status public.order_status not null,
  price numeric(12,2) not null,
  currency text check (currency in ('USD', 'JPY', 'INR', 'THB')),
  notes text not null default '',
  complaint text not null default '',
  is_deleted boolean not null default false,
  submitted_at timestamptz,
  source_updated_at timestamptz,
  deleted_at timestamptz,
  internal_note text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index orders_case_id on public.orders (case_id);
create index orders_patient_id on public.orders (patient_id);
create index orders_doctor_id on public.orders (doctor_id);
create index orders_office_id on public.orders (office_id);
create index orders_course_id on public.orders (course_id);
create index orders_upper_jaw_id on public.orders (upper_jaw_id);
create index orders_lower_jaw_id on public.orders (lower_jaw_id);

create table public.jaws (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  order_id uuid not null references public.orders,
  arch text not null check (arch in ('upper', 'lower')),
  treatment text not null check (treatment in ('none', 'aligners', 'retainer')),
  aligners integer not null check (aligners >= 0),
  deleted_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index jaws_order_id on public.jaws (order_id);
alter table public.orders
  add constraint orders_upper_jaw_id_fkey foreign key (upper_jaw_id) references public.jaws,
  add constraint orders_lower_jaw_id_fkey foreign key (lower_jaw_id) references public.jaws;

create table public.projects (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  creator_id uuid references public.profiles,
  uid text not null,
  name text not null,
  size_bytes bigint not null,
  is_public boolean not null default false,
  type text not null check (type in ('setup', 'scan', 'staging', 'simulation')),
  status text not null check (status in ('open', 'ready', 'closed')),
  deleted_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index projects_creator_id on public.projects (creator_id);

create table public.treatment_plans (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  order_id uuid not null references public.orders,
  project_id uuid references public.projects,
  case_id uuid references public.cases,
  number integer not null,
  name text not null,
  notes text not null default '',
  is_original boolean not null default false,
  deleted_at timestamptz,
  review_note text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index treatment_plans_order_id on public.treatment_plans (order_id);
create index treatment_plans_project_id on public.treatment_plans (project_id);
create index treatment_plans_case_id on public.treatment_plans (case_id);
alter table public.cases
  add constraint cases_current_plan_id_fkey foreign key (current_plan_id) references public.treatment_plans;

create table public.tasks (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  order_id uuid not null references public.orders,
  assignee_id uuid references public.profiles,
  type text not null check (type in ('import', 'segment', 'stage', 'review', 'print', 'trim', 'pack')),
  done_at timestamptz,
  deleted_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index tasks_order_id on public.tasks (order_id);
create index tasks_assignee_id on public.tasks (assignee_id);

-- Two legacy tables feed this one, and their integers collide: the key is both columns.
create table public.case_messages (
  id uuid primary key default gen_random_uuid(),
  legacy_source text check (legacy_source in ('comment', 'record')),
  legacy_id bigint,
  case_id uuid not null references public.cases,
  plan_id uuid references public.treatment_plans,
  author_id uuid references public.profiles,
  parent_id uuid references public.case_messages,
  kind text not null check (kind in ('comment', 'note', 'call', 'email')),
  body text not null,
  is_public boolean not null default true,
  deleted_at timestamptz,
  pinned boolean not null default false,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (legacy_source, legacy_id),
  check ((legacy_source is null) = (legacy_id is null))
);
create index case_messages_case_id on public.case_messages (case_id);
create index case_messages_plan_id on public.case_messages (plan_id);
create index case_messages_author_id on public.case_messages (author_id);
create index case_messages_parent_id on public.case_messages (parent_id);

create table public.case_states (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  case_id uuid not null references public.cases,
  actor_id uuid references public.profiles,
  status text not null,
  previous_status text,
  is_on boolean not null default true,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index case_states_case_id on public.case_states (case_id);
create index case_states_actor_id on public.case_states (actor_id);

create table public.order_states (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  order_id uuid not null references public.orders,
  actor_id uuid references public.profiles,
  status text not null,
  is_on boolean not null default true,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index order_states_order_id on public.order_states (order_id);
create index order_states_actor_id on public.order_states (actor_id);

create table public.files (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  product_id uuid references public.products,
  uid text not null,
  name text not null,
  extension text not null default '',
  size_bytes bigint not null,
  status text not null check (status in ('uploading', 'stored', 'broken')),
  storage_path text,
  deleted_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index files_product_id on public.files (product_id);

create table public.case_files (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  case_id uuid not null references public.cases,
  order_id uuid references public.orders,
  file_id uuid not null references public.files,
  purpose text not null,
  unlinked_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (case_id, file_id)
);
create index case_files_order_id on public.case_files (order_id);
create index case_files_file_id on public.case_files (file_id);

create table public.message_attachments (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  message_id uuid not null references public.case_messages,
  file_id uuid not null references public.files,
  purpose text not null,
  unlinked_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  unique (message_id, file_id)
);
create index message_attachments_file_id on public.message_attachments (file_id);

create table public.payments (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  order_id uuid not null references public.orders,
  doctor_id uuid references public.profiles,
  office_id uuid not null references public.offices,
  total numeric(12,2) not null,
  subtotal numeric(12,2) not null,
  paid_amount numeric(12,2) not null,
  tax numeric(12,2) not null,
  tax_rate numeric(6,4) not null,
  used_credit numeric(12,2) not null default 0,
  currency text not null check (currency in ('USD', 'JPY', 'INR', 'THB')),
  status text not null check (status in ('open', 'paid', 'cancelled', 'free')),
  installments jsonb,
  processor_order_ref text,
  made_at timestamptz,
  voided_at timestamptz,
  accounting_code text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index payments_order_id on public.payments (order_id);
create index payments_doctor_id on public.payments (doctor_id);
create index payments_office_id on public.payments (office_id);

create table public.purchases (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  payment_id uuid not null references public.payments,
  case_id uuid not null references public.cases,
  product_id uuid references public.products,
  amount numeric(12,2) not null check (amount > 0),
  currency text not null check (currency in ('USD', 'JPY', 'INR', 'THB')),
  purchased_at timestamptz,
  voided_at timestamptz,
  accounting_code text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index purchases_payment_id on public.purchases (payment_id);
create index purchases_case_id on public.purchases (case_id);
create index purchases_product_id on public.purchases (product_id);

-- A refund is negative, whatever legacy wrote.
create table public.operations (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  payment_id uuid not null references public.payments,
  case_id uuid references public.cases,
  type public.operation_type not null,
  amount numeric(12,2) not null,
  currency text not null check (currency in ('USD', 'JPY', 'INR', 'THB')),
  card_brand text not null default '',
  card_last_four text not null default '',
  processor_ref text,
  made_at timestamptz,
  reversed_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  check (type <> 'refund' or amount <= 0)
);
create index operations_payment_id on public.operations (payment_id);
create index operations_case_id on public.operations (case_id);

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

-- item_id points to one of several tables, as item_type says, so it has no foreign key.
create table public.system_messages (
  id uuid primary key default gen_random_uuid(),
  legacy_id bigint unique,
  recipient_id uuid not null references public.profiles,
  item_type text check (item_type in ('case', 'order', 'plan', 'payment', 'profile')),
  item_id uuid,
  sender text not null default '',
  template text not null,
  context jsonb not null,
  is_read boolean not null default false,
  is_sent boolean not null default false,
  archived_at timestamptz,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  check ((item_type is null) = (item_id is null))
);
create index system_messages_recipient_id on public.system_messages (recipient_id);
create index system_messages_item_id on public.system_messages (item_id);

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
