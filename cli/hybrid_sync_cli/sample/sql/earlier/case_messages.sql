-- plans were not migrated, so neither was the message's plan
select earlier(%(seed)s, 'case_messages', c.id) as id, 'comment' as legacy_source, c.id as legacy_id,
       earlier(%(seed)s, 'cases', i.patient_id) as case_id, earlier(%(seed)s, 'profiles', c.author_id) as author_id,
       'comment' as kind, c.text as body, c.created_at
from dispatch_comment c join dispatch_plan pl on pl.id = c.plan_id
  join dispatch_instruction i on i.id = pl.instruction_id
where c.id <= %(earlier_comments)s and i.patient_id <= %(earlier_patients)s
