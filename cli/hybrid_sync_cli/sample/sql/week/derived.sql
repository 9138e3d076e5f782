-- Which rows of each entity and source a sync has to read after this week: its own rows, and those whose joined or
-- watched rows changed.  Written from the catalog files by hand, on purpose: it checks the engine, so it must not
-- be computed by it.

create temporary view touched as select distinct tab, key, key2 from changes where op <> 'deleted';

create temporary view must_read as
with office as (select key from touched where tab = 'dispatch_office'),
     patient as (select key from touched where tab = 'dispatch_patient'),
     instruction as (select key from touched where tab = 'dispatch_instruction'),
     payment as (select key from touched where tab = 'dispatch_payment'),
     state as (select key from touched where tab = 'dispatch_state'),
     file as (select key from touched where tab = 'dispatch_file')
select entity, 'dispatch_' || t as source, key, key2 from touched
  join (values ('offices', 'office'), ('patients', 'patient'), ('cases', 'patient'), ('products', 'product'),
    ('courses', 'course'),
               ('orders', 'instruction'), ('jaws', 'jaw'), ('projects', 'project'), ('treatment_plans', 'plan'),
                 ('tasks', 'task'),
               ('case_states', 'state'), ('order_states', 'state'), ('files', 'file'), ('case_files', 'file'),
                 ('message_attachments', 'file'),
               ('payments', 'payment'), ('purchases', 'payment'), ('operations', 'operation'), ('roles', 'role'),
               ('role_permissions', 'role_permissions'), ('system_messages', 'notification')) own (entity,
                 t) on tab = 'dispatch_' || t
union select 'profiles', 'auth_user', key, null from touched where tab = 'auth_user'
union select 'profiles', 'auth_user', user_id, null from dispatch_patient where id in (table patient)
union select 'profiles', 'auth_user', user_id, null from auth_user_groups where id in (select key from touched
  where tab = 'auth_user_groups')
union select 'orders', 'dispatch_instruction', i.id, null from dispatch_instruction i
  join dispatch_patient p on p.id = i.patient_id
      where p.id in (table patient) or p.office_id in (table office)
union select 'treatment_plans', 'dispatch_plan', id, null from dispatch_plan
  where instruction_id in (table instruction)
union select 'case_messages', 'comment', key, null from touched where tab = 'dispatch_comment'
union select 'case_messages', 'comment', c.id, null from dispatch_comment c join dispatch_plan pl on pl.id = c.plan_id
      where pl.id in (select key from touched where tab = 'dispatch_plan') or pl.instruction_id in (table instruction)
union select 'case_messages', 'record', key, null from touched where tab = 'dispatch_record'
union select 'case_states', 'dispatch_state', id, null from dispatch_state where instruction_id in (table instruction)
union select 'case_states', 'dispatch_state', s.id, null from dispatch_state s
  join dispatch_instruction i on i.id = s.instruction_id
      where i.patient_id in (select patient_id from dispatch_instruction where id in (table instruction)
                             union select x.patient_id from dispatch_instruction x
                               join dispatch_state n on n.instruction_id = x.id where n.id in (table state))
union select 'case_files', 'dispatch_file', id, null from dispatch_file where instruction_id in (table instruction)
union select e.entity, 'dispatch_payment', p.id, null from dispatch_payment p, (values ('payments'),
  ('purchases')) e (entity) where p.office_id in (table office)
union select 'purchases', 'dispatch_payment', p.id, null from dispatch_payment p
  join dispatch_instruction i on i.id = p.instruction_id
      where i.id in (table instruction) or i.course_id in (select key from touched where tab = 'dispatch_course')
union select 'operations', 'dispatch_operation', o.id, null from dispatch_operation o
  join dispatch_payment p on p.id = o.payment_id
      where p.id in (table payment) or p.office_id in (table office) or p.instruction_id in (table instruction)
union select 'role_permissions', 'dispatch_role_permissions', role_id, permission_id from dispatch_role_permissions
      where permission_id in (select key from touched where tab = 'auth_permission');

create temporary view gone as
select entity, source, key, key2 from changes
  join (values ('system_messages', 'dispatch_notification', 'dispatch_notification'), ('case_messages', 'comment',
    'dispatch_comment'),
               ('tasks', 'dispatch_task', 'dispatch_task'), ('projects', 'dispatch_project', 'dispatch_project'),
               ('files', 'dispatch_file', 'dispatch_file'), ('case_files', 'dispatch_file', 'dispatch_file'),
               ('message_attachments', 'dispatch_file', 'dispatch_file'), ('case_states', 'dispatch_state',
                 'dispatch_state'),
               ('order_states', 'dispatch_state', 'dispatch_state'),
               ('role_permissions', 'dispatch_role_permissions', 'dispatch_role_permissions')) fed (entity, source,
                 t) on tab = t
where op = 'deleted'
  and not (entity = 'case_files' and event = 'attachments removed')
  and not (entity = 'message_attachments' and event = 'case files removed');
