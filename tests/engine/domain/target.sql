create type person_kind as enum ('doctor', 'nurse', 'clerk');
create table clinics (id uuid primary key, legacy_id bigint unique, name text not null, currency text not null,
                      internal_note text);
create table people (id uuid primary key, legacy_id bigint unique, clinic_id uuid references clinics, email text,
                     kind person_kind not null, manager_id uuid references people, born date, settings jsonb,
                     internal_note text, created_at timestamptz not null default now());
create table invoices (id uuid primary key, legacy_id bigint unique, visit_id uuid, total numeric(12,2) not null,
                       currency text, made_at timestamptz);
create table visits (id uuid primary key, legacy_id int unique, person_id uuid not null references people, note varchar(60),
                     best_invoice_id uuid references invoices, check (note <> 'forbidden'));
alter table invoices add foreign key (visit_id) references visits;
create table messages (id uuid primary key, legacy_source text, legacy_id bigint, person_id uuid not null references people,
                       body text, unique (legacy_source, legacy_id));
create table grants (id uuid primary key, legacy_person_id bigint, legacy_right_id bigint, person_id uuid not null
                     references people, level smallint not null, unique (legacy_person_id, legacy_right_id));
insert into clinics (id, legacy_id, name, currency, internal_note)
  values ('00000000-0000-4000-8000-000000000001', 1, 'North (old)', 'USD', 'keep me'),
         ('00000000-0000-4000-8000-0000000000aa', null, 'Born here', 'EUR', 'native');
