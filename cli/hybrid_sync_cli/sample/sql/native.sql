-- What people did in the new system itself: rows without a legacy key, and columns that no catalog file maps.

insert into public.offices (id, name, country, currency, internal_note)
select md5('native office ' || n)::uuid, 'Native office ' || n, 'US', 'USD', 'opened here'
  from generate_series(1, 3) n;

insert into public.products (id, code, name, list_price, marketing_text)
select md5('native product ' || n)::uuid, 'N-' || n, 'Native product ' || n, 100 * n, 'new'
  from generate_series(1, 2) n;

insert into public.profiles (id, username, email, type, is_staff, internal_note)
select md5('native profile ' || n)::uuid, 'native' || n, 'native' || n || '@example.org', 'patient', false,
  'signed up here'
from generate_series(1, 6) n;

insert into public.patients (id, profile_id, office_id, suffix, internal_note)
select md5('native patient ' || n)::uuid, md5('native profile ' || n)::uuid, md5('native office 1')::uuid, 'NAT',
  'walked in'
from generate_series(1, 4) n;

insert into public.cases (id, number, patient_id, status, assigned_team)
select md5('native case ' || n)::uuid, 'CASE-NATIVE-' || n, md5('native patient ' || n)::uuid, 'planning', 'blue'
  from generate_series(1, 4) n;

insert into public.orders (id, case_id, patient_id, status, price, currency, internal_note)
select md5('native order ' || n)::uuid, md5('native case ' || n)::uuid, md5('native patient ' || n)::uuid,
  'submitted', 500 * n, 'USD', 'by phone'
from generate_series(1, 3) n;

insert into public.payments (id, order_id, office_id, total, subtotal, paid_amount, tax, tax_rate, currency, status,
  accounting_code)
select md5('native payment ' || n)::uuid, md5('native order ' || n)::uuid, md5('native office 1')::uuid, 500 * n,
  500 * n, 0, 0, 0, 'USD', 'open', 'N' || n
from generate_series(1, 2) n;

-- One message in each native case, and answers to migrated ones.
insert into public.case_messages (id, case_id, kind, body, pinned)
select md5('native message ' || n)::uuid, md5('native case ' || n)::uuid, 'note', 'Written here ' || n, true
  from generate_series(1, 4) n;
insert into public.case_messages (id, case_id, parent_id, kind, body)
select md5('native answer ' || m.legacy_id)::uuid, m.case_id, m.id, 'note', 'Answered here'
from (select * from public.case_messages where legacy_id is not null order by legacy_id limit 3) m;

insert into public.system_messages (id, recipient_id, template, context)
select md5('native notice ' || n)::uuid, md5('native profile ' || 1 + mod(n, 6))::uuid, 'welcome', '{"native": true}'
  from generate_series(1, 10) n;

-- Migrated once, deleted in legacy since: multiples of eight are keys that legacy no longer has.
insert into public.case_messages (id, legacy_source, legacy_id, case_id, kind, body)
select md5('gone message ' || m.n)::uuid, 'comment', 8 * m.n, m.case_id, 'comment', 'Deleted in legacy'
from (select case_id, row_number() over (order by legacy_id) as n from public.case_messages
  where legacy_source = 'comment') m where m.n <= 2;
insert into public.system_messages (id, legacy_id, recipient_id, template, context)
select md5('gone notice ' || m.n)::uuid, 8 * m.n, m.recipient_id, 'plan_ready', '{}'
from (select recipient_id, row_number() over (order by legacy_id) as n from public.system_messages
  where legacy_id is not null) m where m.n <= 3;

update public.patients set internal_note = 'prefers mornings' where mod(legacy_id, 5) = 0;
update public.cases set assigned_team = 'green' where mod(legacy_patient_id, 4) = 0;
update public.case_messages set pinned = true where mod(legacy_id, 7) = 0;
