-- Old rows that change, each in one way.  Every update really changes a value.

-- With updated_at, as Django's save() does it.
with c as (
  update dispatch_patient set status = 1 + mod(status, 11), updated_at = updated_at + interval '1300 days'
  where id in (select id from dispatch_patient
               where id not in (select key from changes where tab = 'dispatch_patient')
               order by hash(%(seed)s, 'saved patient', id) limit %(few_dispatch_patient)s) returning id)
insert into changes select 'dispatch_patient', 'updated', id, null, 'cases that moved on' from c;
with c as (
  update dispatch_instruction set status = case status when 0 then 1 when 1 then 2 when 2 then 4 else 0 end,
    updated_at = updated_at + interval '1300 days'
  where id in (select id from dispatch_instruction where status in (0, 1, 2, 4)
               and id not in (select key from changes where tab = 'dispatch_instruction')
               order by hash(%(seed)s, 'saved order', id) limit %(few_dispatch_instruction)s) returning id)
insert into changes select 'dispatch_instruction', 'updated', id, null, 'orders that moved on' from c;

-- Past updated_at, as QuerySet.update() and people with psql do it.
with c as (
  update dispatch_patient set archived = not archived
  where id in (select id from dispatch_patient
               where id not in (select key from changes where tab = 'dispatch_patient')
               order by hash(%(seed)s, 'archived patient', id) limit %(few_dispatch_patient)s) returning id)
insert into changes select 'dispatch_patient', 'updated', id, null, 'patients changed without updated_at' from c;
with c as (
  update dispatch_instruction set price = price + 100, notes = notes || ' (price corrected)'
  where id in (select id from dispatch_instruction where status in (0, 1, 2, 4)
               and id not in (select key from changes where tab = 'dispatch_instruction')
               order by hash(%(seed)s, 'corrected order', id) limit %(few_dispatch_instruction)s) returning id)
insert into changes select 'dispatch_instruction', 'updated', id, null, 'orders changed without updated_at' from c;

-- Tables that have no such column at all.
with c as (
  update auth_user set last_name = last_name || '-Smith' where id in (
    select id from auth_user where id not in (select key from changes where tab = 'auth_user')
      order by hash(%(seed)s, 'married', id) limit %(few_auth_user)s) returning id)
insert into changes select 'auth_user', 'updated', id, null, 'people renamed' from c;
with c as (
  update auth_user set password = password || 'x' where id in (
    select id from auth_user where id not in (select key from changes where tab = 'auth_user')
      order by hash(%(seed)s, 'password', id) limit 2) returning id)
insert into changes select 'auth_user', 'updated', id, null, 'passwords changed, which is never synced' from c;
-- The kind of a profile is the smallest group it is in: one more group changes it, another group too.
with c as (
  insert into auth_user_groups (user_id, group_id)
  select user_id, 1 from auth_user_groups g where group_id = 2 and not exists (select from auth_user_groups o
    where o.user_id = g.user_id and o.group_id = 1)
  order by hash(%(seed)s, 'promoted', user_id) limit 2 returning id)
insert into changes select 'auth_user_groups', 'inserted', id, null, 'doctors who became technicians too' from c;
with c as (
  update auth_user_groups set group_id = 2 where id in (
    select id from auth_user_groups where group_id = 11
               and id not in (select key from changes where tab = 'auth_user_groups')
    order by hash(%(seed)s, 'regrouped', id) limit 1) returning id)
insert into changes select 'auth_user_groups', 'updated', id, null, 'patients who became doctors' from c;
with c as (
  update dispatch_plan set name = name || ' (revised)' where id in (
    select id from dispatch_plan where id not in (select key from changes where tab = 'dispatch_plan')
      order by hash(%(seed)s, 'revised', id) limit %(few_dispatch_plan)s) returning id)
insert into changes select 'dispatch_plan', 'updated', id, null, 'plans revised' from c;
with c as (
  update dispatch_jaw set aligners = aligners + 1 where id in (
    select id from dispatch_jaw where id not in (select key from changes where tab = 'dispatch_jaw')
      order by hash(%(seed)s, 'aligner', id) limit %(few_dispatch_jaw)s) returning id)
insert into changes select 'dispatch_jaw', 'updated', id, null, 'jaws with one aligner more' from c;
with c as (
  update dispatch_task set done_at = coalesce(done_at, timestamptz '2026-11-22 00:00Z') + interval '1 hour'
    where id in (
    select id from dispatch_task where id not in (select key from changes where tab = 'dispatch_task')
      order by hash(%(seed)s, 'done', id) limit %(few_dispatch_task)s) returning id)
insert into changes select 'dispatch_task', 'updated', id, null, 'tasks done' from c;
with c as (update dispatch_product set price = price + 5 where id in (select id from dispatch_product
  order by hash(%(seed)s, 'price', id) limit 2) returning id)
insert into changes select 'dispatch_product', 'updated', id, null, 'list prices changed' from c;
with c as (update dispatch_course set weeks = weeks + 1 where id in (select id from dispatch_course
  order by hash(%(seed)s, 'weeks', id) limit 1) returning id)
insert into changes select 'dispatch_course', 'updated', id, null, 'courses prolonged' from c;
with c as (update auth_permission set codename = codename || '_v2' where id in (
    select permission_id from dispatch_role_permissions order by hash(%(seed)s, 'codename',
      permission_id * 1000 + role_id) limit 1) returning id)
insert into changes select 'auth_permission', 'updated', id, null, 'permissions renamed' from c;
with c as (update dispatch_role set description = description || '.' where id in (select id from dispatch_role
  order by hash(%(seed)s, 'role', id) limit 1) returning id)
insert into changes select 'dispatch_role', 'updated', id, null, 'roles described anew' from c;

-- Tables whose only time is that of the insert.
with c as (
  update dispatch_project set status = mod(status + 1, 3) where id in (
    select id from dispatch_project where id not in (select key from changes where tab = 'dispatch_project')
      order by hash(%(seed)s, 'project', id) limit %(few_dispatch_project)s) returning id)
insert into changes select 'dispatch_project', 'updated', id, null, 'projects that moved on' from c;
with c as (
  update dispatch_comment set text = text || ' (edited)' where id in (
    select id from dispatch_comment where id not in (select key from changes where tab = 'dispatch_comment')
      order by hash(%(seed)s, 'edited', id) limit %(few_dispatch_comment)s) returning id)
insert into changes select 'dispatch_comment', 'updated', id, null, 'comments edited' from c;
with c as (
  update dispatch_record set public = not public where id in (
    select id from dispatch_record where id not in (select key from changes where tab = 'dispatch_record')
      order by hash(%(seed)s, 'published', id) limit %(few_dispatch_record)s) returning id)
insert into changes select 'dispatch_record', 'updated', id, null, 'records published or withdrawn' from c;
with c as (
  update dispatch_state set status = 1 + mod(status, 6) where id in (
    select id from dispatch_state where id not in (select key from changes where tab = 'dispatch_state')
      order by hash(%(seed)s, 'state', id) limit %(few_dispatch_state)s) returning id)
insert into changes select 'dispatch_state', 'updated', id, null, 'states corrected' from c;
with c as (
  update dispatch_file set status = case status when 1 then 2 else 1 end where id in (
    select id from dispatch_file where id not in (select key from changes where tab = 'dispatch_file')
      order by hash(%(seed)s, 'broken', id) limit %(few_dispatch_file)s) returning id)
insert into changes select 'dispatch_file', 'updated', id, null, 'files broken or mended' from c;
with c as (
  update dispatch_notification set read = not read where id in (
    select id from dispatch_notification where id not in (select key from changes where tab = 'dispatch_notification')
      order by hash(%(seed)s, 'read', id) limit %(few_dispatch_notification)s) returning id)
insert into changes select 'dispatch_notification', 'updated', id, null, 'messages read' from c;
with c as (
  update dispatch_notification set template_context = '{"repaired": true}' where id in (
    select id from dispatch_notification where right(template_context, 2) = ',}' and id not in (select key
      from changes where tab = 'dispatch_notification')
    order by hash(%(seed)s, 'repaired', id) limit 1) returning id)
insert into changes select 'dispatch_notification', 'updated', id, null, 'broken contexts repaired' from c;

-- Money.
with c as (
  update dispatch_payment set canceled = true where id in (
    select id from dispatch_payment where paid and not canceled and paid_price > 0 and id not in (select key
      from changes where tab = 'dispatch_payment')
    order by hash(%(seed)s, 'cancelled', id) limit %(few_purchase)s) returning id)
insert into changes select 'dispatch_payment', 'updated', id, null, 'payments cancelled after their purchase' from c;
with c as (
  update dispatch_payment set paid = true, paid_price = total_price where id in (
    select id from dispatch_payment where not paid and not canceled and not free and total_price > 0
      and id not in (select key from changes where tab = 'dispatch_payment')
    order by hash(%(seed)s, 'paid', id) limit %(few_purchase)s) returning id)
insert into changes select 'dispatch_payment', 'updated', id, null, 'payments that were paid' from c;
with c as (
  update dispatch_payment set subtotal_price = subtotal_price + 100, total_price = total_price + 100 where id in (
    select id from dispatch_payment where not paid and not canceled
               and id not in (select key from changes where tab = 'dispatch_payment')
    order by hash(%(seed)s, 'repriced', id) limit %(few_dispatch_payment)s) returning id)
insert into changes select 'dispatch_payment', 'updated', id, null, 'payments repriced' from c;
with c as (
  insert into dispatch_operation (type, price, payment_id, sq_order_id, sq_payment_id, sq_refund_id, card_brand,
    card_bin, card_last, attempts, made_at)
  select 2, p.paid_price, p.id, p.order_id, 'SQP' || p.id, 'SQR' || p.id, 'VISA', '411111', '1111', 1,
    p.made_at + interval '1300 days'
  from dispatch_payment p join changes k on k.tab = 'dispatch_payment' and k.key = p.id
    and k.event = 'payments cancelled after their purchase' returning id)
insert into changes select 'dispatch_operation', 'inserted', id, null, 'refunds' from c;
with c as (
  update dispatch_operation set attempts = attempts + 1 where id in (
    select id from dispatch_operation where id not in (select key from changes where tab = 'dispatch_operation')
      order by hash(%(seed)s, 'attempt', id) limit 2) returning id)
insert into changes select 'dispatch_operation', 'updated', id, null, 'operations tried again' from c;
-- One small office moves: through the join, the currency of all its orders and payments changes.
with c as (
  update dispatch_office o set country = case o.country when 'TH' then 'IN' else 'TH' end
  where o.id = (select p.office_id from dispatch_payment p group by p.office_id order by count(*), p.office_id
    limit 1) returning id)
insert into changes select 'dispatch_office', 'updated', id, null, 'offices that moved to another country' from c;
