select earlier(%(seed)s, 'orders', i.id) as id, i.id as legacy_id, earlier(%(seed)s, 'cases',
  i.patient_id) as case_id,
       earlier(%(seed)s, 'patients', i.patient_id) as patient_id, earlier(%(seed)s, 'profiles',
         p.doctor_id) as doctor_id,
       case i.status when 0 then 'draft' when 1 then 'submitted' when 2 then 'in_production'
         else 'completed' end as status,
       case when mod(i.id, 9) = 0 then i.price + 10 else i.price end as price,
       case o.country when 'US' then 'USD' when 'JP' then 'JPY' when 'IN' then 'INR' else 'THB' end as currency,
       i.notes, i.complaint, i.deleted as is_deleted, i.submitted_at
from dispatch_instruction i join dispatch_patient p on p.id = i.patient_id
  join dispatch_office o on o.id = p.office_id
where i.id <= %(earlier_orders)s and i.patient_id <= %(earlier_patients)s
