-- Foreign keys as Django makes them (checked at commit), and an index on each of their columns.

alter table auth_permission add constraint auth_permission_content_type_fk
  foreign key (content_type_id) references django_content_type deferrable initially deferred;
alter table auth_user_groups
  add constraint auth_user_groups_user_fk foreign key (user_id) references auth_user deferrable initially deferred,
  add constraint auth_user_groups_group_fk foreign key (group_id) references auth_group deferrable initially deferred;
create index auth_user_groups_group_id on auth_user_groups (group_id);
create index auth_user_email on auth_user (email);

alter table dispatch_course add constraint dispatch_course_product_fk
  foreign key (product_id) references dispatch_product deferrable initially deferred;
create index dispatch_course_product_id on dispatch_course (product_id);

alter table dispatch_patient
  add constraint dispatch_patient_user_fk foreign key (user_id) references auth_user deferrable initially deferred,
  add constraint dispatch_patient_doctor_fk foreign key (doctor_id)
    references auth_user deferrable initially deferred,
  add constraint dispatch_patient_office_fk foreign key (office_id)
    references dispatch_office deferrable initially deferred,
  add constraint dispatch_patient_plan_fk foreign key (current_plan_id)
    references dispatch_plan deferrable initially deferred;
create index dispatch_patient_doctor_id on dispatch_patient (doctor_id);
create index dispatch_patient_office_id on dispatch_patient (office_id);
create index dispatch_patient_current_plan_id on dispatch_patient (current_plan_id);
create index dispatch_patient_updated_at on dispatch_patient (updated_at);

alter table dispatch_instruction
  add constraint dispatch_instruction_patient_fk foreign key (patient_id)
    references dispatch_patient deferrable initially deferred,
  add constraint dispatch_instruction_course_fk foreign key (course_id)
    references dispatch_course deferrable initially deferred,
  add constraint dispatch_instruction_upper_fk foreign key (upper_jaw_id)
    references dispatch_jaw deferrable initially deferred,
  add constraint dispatch_instruction_lower_fk foreign key (lower_jaw_id)
    references dispatch_jaw deferrable initially deferred;
create index dispatch_instruction_patient_id on dispatch_instruction (patient_id);
create index dispatch_instruction_course_id on dispatch_instruction (course_id);
create index dispatch_instruction_upper_jaw_id on dispatch_instruction (upper_jaw_id);
create index dispatch_instruction_lower_jaw_id on dispatch_instruction (lower_jaw_id);
create index dispatch_instruction_updated_at on dispatch_instruction (updated_at);

alter table dispatch_jaw add constraint dispatch_jaw_instruction_fk
  foreign key (instruction_id) references dispatch_instruction deferrable initially deferred;
create index dispatch_jaw_instruction_id on dispatch_jaw (instruction_id);

alter table dispatch_project add constraint dispatch_project_creator_fk
  foreign key (creator_id) references auth_user deferrable initially deferred;
create index dispatch_project_creator_id on dispatch_project (creator_id);

alter table dispatch_plan
  add constraint dispatch_plan_instruction_fk foreign key (instruction_id)
    references dispatch_instruction deferrable initially deferred,
  add constraint dispatch_plan_project_fk foreign key (project_id)
    references dispatch_project deferrable initially deferred;
create index dispatch_plan_instruction_id on dispatch_plan (instruction_id);
create index dispatch_plan_project_id on dispatch_plan (project_id);

alter table dispatch_task
  add constraint dispatch_task_instruction_fk foreign key (instruction_id)
    references dispatch_instruction deferrable initially deferred,
  add constraint dispatch_task_assignee_fk foreign key (assignee_id)
    references auth_user deferrable initially deferred;
create index dispatch_task_instruction_id on dispatch_task (instruction_id);
create index dispatch_task_assignee_id on dispatch_task (assignee_id);

alter table dispatch_comment
  add constraint dispatch_comment_plan_fk foreign key (plan_id)
    references dispatch_plan deferrable initially deferred,
  add constraint dispatch_comment_author_fk foreign key (author_id)
    references auth_user deferrable initially deferred,
  add constraint dispatch_comment_parent_fk foreign key (parent_id)
    references dispatch_comment deferrable initially deferred;
create index dispatch_comment_plan_id on dispatch_comment (plan_id);
create index dispatch_comment_author_id on dispatch_comment (author_id);
create index dispatch_comment_parent_id on dispatch_comment (parent_id);

alter table dispatch_record
  add constraint dispatch_record_target_type_fk foreign key (target_type_id)
    references django_content_type deferrable initially deferred,
  add constraint dispatch_record_author_fk foreign key (author_id) references auth_user deferrable initially deferred,
  add constraint dispatch_record_group_fk foreign key (group_id) references auth_group deferrable initially deferred;
create index dispatch_record_target on dispatch_record (target_type_id, target_id);
create index dispatch_record_author_id on dispatch_record (author_id);

alter table dispatch_state add constraint dispatch_state_actor_fk
  foreign key (actor_id) references auth_user deferrable initially deferred;
create index dispatch_state_instruction_id on dispatch_state (instruction_id);
create index dispatch_state_actor_id on dispatch_state (actor_id);

alter table dispatch_file
  add constraint dispatch_file_instruction_fk foreign key (instruction_id)
    references dispatch_instruction deferrable initially deferred,
  add constraint dispatch_file_record_fk foreign key (record_id)
    references dispatch_record deferrable initially deferred,
  add constraint dispatch_file_product_fk foreign key (product_id)
    references dispatch_product deferrable initially deferred;
create index dispatch_file_instruction_id on dispatch_file (instruction_id);
create index dispatch_file_record_id on dispatch_file (record_id);
create index dispatch_file_product_id on dispatch_file (product_id);

alter table dispatch_payment
  add constraint dispatch_payment_instruction_fk foreign key (instruction_id)
    references dispatch_instruction deferrable initially deferred,
  add constraint dispatch_payment_doctor_fk foreign key (doctor_id)
    references auth_user deferrable initially deferred,
  add constraint dispatch_payment_office_fk foreign key (office_id)
    references dispatch_office deferrable initially deferred;
create index dispatch_payment_instruction_id on dispatch_payment (instruction_id);
create index dispatch_payment_doctor_id on dispatch_payment (doctor_id);
create index dispatch_payment_office_id on dispatch_payment (office_id);

alter table dispatch_operation add constraint dispatch_operation_payment_fk
  foreign key (payment_id) references dispatch_payment deferrable initially deferred;
create index dispatch_operation_payment_id on dispatch_operation (payment_id);

alter table dispatch_offer
  add constraint dispatch_offer_product_fk foreign key (product_id)
    references dispatch_product deferrable initially deferred,
  add constraint dispatch_offer_office_fk foreign key (office_id)
    references dispatch_office deferrable initially deferred;
create index dispatch_offer_product_id on dispatch_offer (product_id);
create index dispatch_offer_office_id on dispatch_offer (office_id);
alter table dispatch_discount add constraint dispatch_discount_office_fk
  foreign key (office_id) references dispatch_office deferrable initially deferred;
create index dispatch_discount_office_id on dispatch_discount (office_id);

alter table dispatch_role_permissions
  add constraint dispatch_role_permissions_role_fk foreign key (role_id)
    references dispatch_role deferrable initially deferred,
  add constraint dispatch_role_permissions_permission_fk foreign key (permission_id)
    references auth_permission deferrable initially deferred;
create index dispatch_role_permissions_permission_id on dispatch_role_permissions (permission_id);

alter table dispatch_notification
  add constraint dispatch_notification_item_type_fk foreign key (item_type_id)
    references django_content_type deferrable initially deferred,
  add constraint dispatch_notification_recipient_fk foreign key (recipient_id)
    references auth_user deferrable initially deferred;
create index dispatch_notification_item on dispatch_notification (item_type_id, item_id);
create index dispatch_notification_recipient_id on dispatch_notification (recipient_id);

-- Rows were written with their keys: every sequence goes on behind the largest.
do $$
declare t record;
begin
  for t in select c.oid::regclass::text as name, pg_get_serial_sequence(c.oid::regclass::text, 'id') as sequence
           from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'id'
           where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
  loop
    execute format('select setval(%L, coalesce((select max(id) from %s), 0) + 1, false)', t.sequence, t.name);
  end loop;
end $$;
