-- New rows: doctors, patients with everything that hangs on them, and new children of old parents.
-- Keys are drawn first, so that children can name their parents.

create temporary table changes (
  tab text not null,
  op text not null check (op in ('inserted', 'updated', 'deleted')),
  key integer not null,
  key2 integer,
  event text not null
) on commit drop;

create temporary table new_user on commit drop as
select n, nextval('auth_user_id_seq')::integer as id, n <= %(few_doctors)s as doctor, hash(%(seed)s, 'week user',
  n) as h
from generate_series(1, %(few_doctors)s + %(few_dispatch_patient)s) n;

with c as (
  insert into auth_user (id, password, last_login, is_superuser, username, first_name, last_name, email, is_staff,
    is_active, date_joined)
  select id, 'pbkdf2_sha256$390000$' || h, null, false, 'user-' || id, 'New', 'Person ' || id,
    'New' || id || '@Example.org', false, true, moment(h, 0, 1) + interval '1 day'
  from new_user returning id)
insert into changes select 'auth_user', 'inserted', id, null, 'people who signed up' from c;

with c as (
  insert into auth_user_groups (user_id, group_id) select id, case when doctor then 2 else 11 end from new_user
    returning id)
insert into changes select 'auth_user_groups', 'inserted', id, null, 'people who signed up' from c;

create temporary table new_patient on commit drop as
select row_number() over (order by u.n) as n, nextval('dispatch_patient_id_seq')::integer as id, u.id as user_id, u.h,
       d.user_id as doctor_id, d.office_id
from new_user u
cross join lateral (select p.doctor_id as user_id, p.office_id from dispatch_patient p
                    where p.id >= key(1 + pick(u.h, 1, %(rows_dispatch_patient)s)) order by p.id limit 1) d
where not u.doctor;

with c as (
  insert into dispatch_patient (id, user_id, doctor_id, office_id, birthdate, sex, suffix, status, archived,
    suspended, schemes, submitted_at, updated_at)
  select id, user_id, doctor_id, office_id, date '2001-05-05', 1, upper(substr(h, 1, 3)), 2, false, false,
    '{"arch": "both"}', moment(h, 2, 1) + interval '1 day', moment(h, 2, 1) + interval '1 day'
  from new_patient returning id)
insert into changes select 'dispatch_patient', 'inserted', id, null, 'new patients' from c;

-- Two orders for each new patient, and one for some old ones.
create temporary table new_order on commit drop as
select row_number() over (order by q.patient_id, q.n) as n, nextval('dispatch_instruction_id_seq')::integer as id,
  q.patient_id,
       p.doctor_id, p.office_id, hash(%(seed)s, 'week order', q.patient_id * 10 + q.n) as h
from (select id as patient_id, g as n from new_patient, generate_series(1, 2) g
      union all
      (select id, 3 from dispatch_patient where id not in (select id from new_patient)
       order by hash(%(seed)s, 'returning patient', id) limit %(few_dispatch_instruction)s)) q
join dispatch_patient p on p.id = q.patient_id;

create temporary table new_jaw on commit drop as
select nextval('dispatch_jaw_id_seq')::integer as id, o.id as order_id, g = 1 as upper
  from new_order o, generate_series(1, 2) g;

with c as (
  insert into dispatch_instruction (id, patient_id, course_id, status, price, notes, complaint, exports, upper_jaw_id,
    lower_jaw_id, deleted, submitted_at, updated_at)
  select o.id, o.patient_id, key(1 + pick(o.h, 0, 12)), 1, local_price(900, f.country), '', '', 0, u.id, l.id, false,
    null, moment(o.h, 1, 1) + interval '1 day'
  from new_order o join dispatch_office f on f.id = o.office_id
  join new_jaw u on u.order_id = o.id and u.upper join new_jaw l on l.order_id = o.id and not l.upper returning id)
insert into changes select 'dispatch_instruction', 'inserted', id, null, 'new orders' from c;

with c as (
  insert into dispatch_jaw (id, instruction_id, upper, treatment, aligners) select id, order_id, upper, 1, 20
    from new_jaw returning id)
insert into changes select 'dispatch_jaw', 'inserted', id, null, 'new orders' from c;

with c as (
  insert into dispatch_project (uid, name, size, public, type, status, creator_id, created_at)
  select random_uuid(h), 'Project for order ' || id, 5000000, false, 1, 0, null, moment(h, 2, 1) + interval '1 day'
    from new_order returning id)
insert into changes select 'dispatch_project', 'inserted', id, null, 'new orders' from c;

create temporary table new_plan on commit drop as
select nextval('dispatch_plan_id_seq')::integer as id, o.id as order_id, o.doctor_id, o.h,
       (select max(key) from changes where tab = 'dispatch_project') as project_id
from new_order o;

with c as (
  insert into dispatch_plan (id, instruction_id, project_id, number, name, notes, original)
  select id, order_id, project_id, 1, 'First plan', '', true from new_plan returning id)
insert into changes select 'dispatch_plan', 'inserted', id, null, 'new orders' from c;

with c as (
  insert into dispatch_task (instruction_id, assignee_id, type, done_at) select id, null, g, null
    from new_order, generate_series(1, 3) g returning id)
insert into changes select 'dispatch_task', 'inserted', id, null, 'new orders' from c;

-- A question under each new plan, and answers to comments that were there before.
with c as (
  insert into dispatch_comment (plan_id, author_id, parent_id, text, created_at)
  select id, doctor_id, null, 'Please have a look', moment(h, 3, 1) + interval '1 day' from new_plan returning id)
insert into changes select 'dispatch_comment', 'inserted', id, null, 'comments on new plans' from c;
with c as (
  insert into dispatch_comment (plan_id, author_id, parent_id, text, created_at)
  select q.plan_id, q.author_id, q.id, 'As you say', q.created_at + interval '1 hour'
  from (select b.* from dispatch_comment b join dispatch_plan pl on pl.id = b.plan_id
    join dispatch_instruction i on i.id = pl.instruction_id
        where i.patient_id is not null and b.id not in (select key from changes where tab = 'dispatch_comment')
        order by hash(%(seed)s, 'answered', b.id) limit %(few_dispatch_comment)s) q returning id)
insert into changes select 'dispatch_comment', 'inserted', id, null, 'answers to comments' from c;

create temporary table new_record on commit drop as
select nextval('dispatch_record_id_seq')::integer as id, id as patient_id, h from new_patient;
with c as (
  insert into dispatch_record (id, target_type_id, target_id, type, text, author_id, group_id, public, created_at)
  select id, 11, patient_id, 1, 'First contact', null, null, true, moment(h, 4, 1) + interval '1 day' from new_record
    returning id)
insert into changes select 'dispatch_record', 'inserted', id, null, 'new patients' from c;

with c as (
  insert into dispatch_file (uid, name, ext, size, type, status, instruction_id, record_id, product_id, parameters,
    created_at)
  select random_uuid(h), 'scan of order ' || id, 'STL', 123456, 1, 1, id, null::integer, null::integer, null,
    moment(h, 5, 1) + interval '1 day' from new_order
  union all
  select random_uuid(h), 'letter', 'pdf', 2345, 12, 1, null, id, null, null, moment(h, 5, 1) + interval '1 day'
    from new_record returning id)
insert into changes select 'dispatch_file', 'inserted', id, null, 'files sent' from c;

with c as (
  insert into dispatch_state (instruction_id, status, "on", actor_id, changed_at)
  select id, 1, true, null, moment(h, 6, 1) + interval '1 day' from new_order returning id)
insert into changes select 'dispatch_state', 'inserted', id, null, 'new orders' from c;

-- Every new order has a payment; every second one was paid at once.
create temporary table new_payment on commit drop as
select nextval('dispatch_payment_id_seq')::integer as id, o.*, f.country, f.tax_rate, mod(o.n, 2) = 1 as paid,
       local_price(900, f.country) as subtotal, round(local_price(900, f.country) * f.tax_rate, case f.country
         when 'JP' then 0 else 2 end) as tax
from (select n, id as order_id, doctor_id, office_id, h from new_order) o
  join dispatch_office f on f.id = o.office_id;
with c as (
  insert into dispatch_payment (id, instruction_id, order_id, doctor_id, office_id, total_price, subtotal_price,
    paid_price, custom_price,
    additional_price, used_credit, tax_rate, tax_value, paid, canceled, free, installments, made_at)
  select id, order_id, null, doctor_id, office_id, subtotal + tax, subtotal, case when paid then subtotal + tax
    else 0 end, null,
         0, 0, tax_rate, tax, paid, false, false, null, moment(h, 0, 1) + interval '1 day' from new_payment
           returning id)
insert into changes select 'dispatch_payment', 'inserted', id, null, 'new orders' from c;
with c as (
  insert into dispatch_operation (type, price, payment_id, sq_order_id, sq_payment_id, sq_refund_id, card_brand,
    card_bin, card_last, attempts, made_at)
  select 1, subtotal + tax, id, null, 'SQP' || upper(substr(h, 1, 16)), null, 'VISA', '411111', '1111', 1, moment(h,
    0, 1) + interval '1 day'
  from new_payment where paid returning id)
insert into changes select 'dispatch_operation', 'inserted', id, null, 'new orders' from c;

with c as (
  insert into dispatch_notification (sender, template_name, template_context, read, sent, send, item_id, item_type_id,
    recipient_id, created_at)
  select 'lab@example.org', 'order_received',
    '{"order": ' || o.id || ', "case": "CASE-' || o.patient_id || '", "urgent": false}', false, true, true,
         o.id, 12, o.doctor_id, moment(o.h, 1, 1) + interval '1 day' from new_order o
  union all
  select 'lab@example.org', 'plan_ready', '{"order": ' || q.id || ', "case": "CASE", "urgent": false}', false, true,
    true, q.id, 15, u.user_id, moment(q.h, 1, 1) + interval '1 day'
  from (select id, order_id, h from new_plan) q join new_order o on o.id = q.order_id
    join dispatch_patient u on u.id = o.patient_id returning id)
insert into changes select 'dispatch_notification', 'inserted', id, null, 'notices of new orders' from c;
