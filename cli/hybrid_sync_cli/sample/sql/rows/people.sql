-- Who there is: content types, permissions, groups, users, offices, patients, roles.

insert into django_content_type (id, app_label, model) values
  (1, 'auth', 'permission'), (2, 'auth', 'group'), (11, 'dispatch', 'patient'), (12, 'dispatch', 'instruction'),
  (13, 'dispatch', 'office'), (14, 'dispatch', 'project'), (15, 'dispatch', 'plan'), (16, 'dispatch', 'comment'),
  (17, 'dispatch', 'record'), (18, 'dispatch', 'state'), (19, 'dispatch', 'file'), (21, 'dispatch', 'payment'),
  (22, 'dispatch', 'operation'), (23, 'dispatch', 'notification'), (58, 'auth', 'user');

insert into auth_permission (id, name, content_type_id, codename)
select n, 'Can ' || v.verb || ' thing ' || (n - 1) / 4, (array[11, 12, 15, 21, 58])[1 + mod(n, 5)],
       v.verb || '_thing_' || (n - 1) / 4
from generate_series(1, 240) n, lateral (select (array['add', 'change', 'delete', 'view'])[1 + mod(n - 1,
  4)] as verb) v;

insert into auth_group (id, name) values (1, 'technicians'), (2, 'doctors'), (5, 'billing'), (11, 'patients');

-- Technicians come first, then doctors, then patients.
insert into auth_user (id, password, last_login, is_superuser, username, first_name, last_name, email, is_staff,
  is_active, date_joined)
select key(n), 'pbkdf2_sha256$390000$' || h,
       case when pick(h, 0, 3) > 0 then moment(h, 1, 60) end,
       n <= 2, 'user' || n,
       (array['Ada', 'Bruno', 'Chiyo', 'Dara', 'Eun', 'Farid', 'Grace', 'Hana', 'Ivo', 'Jörg'])[1 + pick(h, 2, 10)],
       (array['Abe', 'Brown', 'Chen', 'Díaz', 'Evans', 'Fujita', 'Gupta', 'Hansen', 'Iyer', 'O''Neil'])[1 + pick(h, 3,
         10)],
       -- the first of each pair of duplicates writes the second one's address in capitals
       case when n - %(technicians)s - %(doctors)s between 1 and %(duplicate_emails)s
            then 'USER' || n + %(duplicate_emails)s || '@Example.org' else 'user' || n || '@example.org' end,
       n <= %(technicians)s, pick(h, 4, 50) > 0, moment(h, 5, 1500)
from generate_series(1, %(users)s) n, lateral (select hash(%(seed)s, 'user', n) as h offset 0) r;

-- One user in 97 is in no group that matters; one technician in 20 is in two.
insert into auth_user_groups (user_id, group_id)
select key(n),
       case when mod(n, 97) = 0 then 5 when n <= %(technicians)s then 1
            when n <= %(technicians)s + %(doctors)s then 2 else 11 end
from generate_series(1, %(users)s) n
union all
select key(n), 2 from generate_series(1, %(technicians)s) n where mod(n, 20) = 0 and mod(n, 97) > 0;

-- The first four offices are one in each country, so that every currency exists at any scale.
insert into dispatch_office (id, name, address, city, zip, country, tax_rate, sq_customer_id, valid, emails)
select key(n), 'Office ' || n, n || ' Main Street', 'City ' || mod(n, 80), lpad(n::text, 5, '0'), c.country,
       case c.country when 'US' then 0.0825 when 'JP' then 0.1000 when 'IN' then 0.1800 else 0.0700 end,
       case when mod(n, 3) > 0 then 'CUS' || upper(substr(h, 1, 12)) end, mod(n, 25) > 0,
         'Office' || n || '@Example.org'
from generate_series(1, %(offices)s) n,
     lateral (select hash(%(seed)s, 'office', n) as h offset 0) r,
     lateral (select case when n <= 4 then (array['US', 'JP', 'IN', 'TH'])[n]
                          when pick(h, 0, 100) < 82 then 'US'
                          else (array['JP', 'IN', 'TH'])[1 + pick(h, 1, 3)] end as country) c;

insert into dispatch_patient (id, user_id, doctor_id, office_id, birthdate, sex, suffix, status, archived, suspended,
  schemes, submitted_at, updated_at)
select key(n), key(%(technicians)s + %(doctors)s + n),
       key(%(technicians)s + 1 + pick(h, 0, %(doctors)s)),
       -- the last office has no patients: the quiet end of every join
       key(1 + pick(h, 1, %(offices)s - 1)),
       case when mod(n, 50) > 0 then date '2018-01-01' - pick(h, 2, 24000) end,
       mod(n, 3), upper(substr(h, 1, 3)), 1 + pick(h, 3, 11), mod(n, 17) = 0, mod(n, 41) = 0,
       case when mod(n, 4) > 0 then '{"arch": "' || (array['upper', 'lower', 'both'])[1 + mod(n,
         3)] || '", "steps": ' || 5 + pick(h, 4, 40) || ', "ratio": 1.0}' end,
       case when mod(n, 9) > 0 then moment(h, 5, 1200) end, moment(h, 6, 1200)
from generate_series(1, %(patients)s) n, lateral (select hash(%(seed)s, 'patient', n) as h offset 0) r;

insert into dispatch_role (id, name, description)
select key(n), 'Role ' || n, 'What role ' || n || ' may do' from generate_series(1, 14) n;

insert into dispatch_role_permissions (role_id, permission_id)
select key(1 + mod(n - 1, 14)), 1 + mod(2 * ((n - 1) / 14) + mod(n - 1, 14), 240)
from generate_series(1, %(role_permissions)s) n;
