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
