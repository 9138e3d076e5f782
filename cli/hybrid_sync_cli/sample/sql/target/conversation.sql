-- What is said and sent: messages, states, files, notifications.

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
