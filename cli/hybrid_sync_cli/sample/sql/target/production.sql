-- What is made: products, courses, orders, jaws, projects, plans, tasks.

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
