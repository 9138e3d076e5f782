-- Money: payments, purchases, operations.

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
