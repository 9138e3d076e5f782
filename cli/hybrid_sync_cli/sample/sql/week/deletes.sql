-- Hard deletes, of sound rows that nothing refers to and that nobody touched this week.
-- A deleted row also leaves no neighbour behind whose value depends on it: that is what no cursor sees.

with c as (
  delete from dispatch_notification where id in (
    select id from dispatch_notification where position('"urgent": false}' in template_context) > 0
      and id not in (select key from changes where tab = 'dispatch_notification')
    order by hash(%(seed)s, 'cleared', id) limit %(few_dispatch_notification)s) returning id)
insert into changes select 'dispatch_notification', 'deleted', id, null, 'messages cleared' from c;
with c as (
  delete from dispatch_comment where id in (
    select b.id from dispatch_comment b join dispatch_plan pl on pl.id = b.plan_id
      join dispatch_instruction i on i.id = pl.instruction_id
    where i.patient_id is not null and not exists (select from dispatch_comment r where r.parent_id = b.id)
      and b.id not in (select key from changes where tab = 'dispatch_comment')
    order by hash(%(seed)s, 'deleted', b.id) limit %(few_dispatch_comment)s) returning id)
insert into changes select 'dispatch_comment', 'deleted', id, null, 'comments deleted' from c;
with c as (
  delete from dispatch_task where id in (
    select id from dispatch_task where id not in (select key from changes where tab = 'dispatch_task')
      order by hash(%(seed)s, 'dropped', id) limit %(few_dispatch_task)s) returning id)
insert into changes select 'dispatch_task', 'deleted', id, null, 'tasks dropped' from c;
with c as (
  delete from dispatch_project where id in (
    select id from dispatch_project p where not exists (select from dispatch_plan pl where pl.project_id = p.id)
      and id not in (select key from changes where tab = 'dispatch_project')
    order by hash(%(seed)s, 'discarded', id) limit %(few_dispatch_project)s) returning id)
insert into changes select 'dispatch_project', 'deleted', id, null, 'projects discarded' from c;
with c as (
  delete from dispatch_file where id in (
    select id from dispatch_file where (instruction_id is not null or record_id is not null) and id not in (select key
      from changes where tab = 'dispatch_file')
    order by hash(%(seed)s, 'removed', id) limit %(few_dispatch_file)s)
  returning id, record_id is not null as attached)
insert into changes select 'dispatch_file', 'deleted', id, null, case when attached then 'attachments removed'
  else 'case files removed' end from c;
-- Only the last state of a case: the next one's previous status would change with it.
with c as (
  delete from dispatch_state where id in (
    select s.id from dispatch_state s join dispatch_instruction i on i.id = s.instruction_id
    where i.patient_id is not null and s.id not in (select key from changes where tab = 'dispatch_state')
      and not exists (select from dispatch_state l join dispatch_instruction li on li.id = l.instruction_id
                      where li.patient_id = i.patient_id and (l.changed_at, l.id) > (s.changed_at, s.id))
    order by hash(%(seed)s, 'withdrawn', s.id) limit %(few_dispatch_state)s) returning id)
insert into changes select 'dispatch_state', 'deleted', id, null, 'states withdrawn' from c;
with c as (
  delete from dispatch_role_permissions where (role_id, permission_id) in (
    select role_id, permission_id from dispatch_role_permissions
      order by hash(%(seed)s, 'revoked', role_id * 1000 + permission_id) limit 3) returning role_id, permission_id)
insert into changes select 'dispatch_role_permissions', 'deleted', role_id, permission_id, 'permissions revoked'
  from c;
with c as (
  insert into dispatch_role_permissions (role_id, permission_id)
  select r.id, p.id from dispatch_role r, auth_permission p
  where not exists (select from dispatch_role_permissions x where x.role_id = r.id and x.permission_id = p.id)
    and not exists (select from changes k where k.tab = 'dispatch_role_permissions' and k.key = r.id
      and k.key2 = p.id)
  order by hash(%(seed)s, 'granted', r.id * 1000 + p.id) limit 2 returning role_id, permission_id)
insert into changes select 'dispatch_role_permissions', 'inserted', role_id, permission_id, 'permissions granted'
  from c;
