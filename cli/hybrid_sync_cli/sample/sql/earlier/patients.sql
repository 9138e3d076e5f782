select earlier(%(seed)s, 'patients', p.id) as id, p.id as legacy_id, earlier(%(seed)s, 'profiles',
  p.user_id) as profile_id,
       earlier(%(seed)s, 'profiles', p.doctor_id) as doctor_id,
       case when p.office_id <= %(earlier_offices)s then earlier(%(seed)s, 'offices', p.office_id) end as office_id,
       p.birthdate, (array['unknown', 'male', 'female'])[1 + p.sex] as sex, p.suffix, mod(p.id, 8) = 1 as is_archived,
         p.suspended as is_suspended
from dispatch_patient p where p.id <= %(earlier_patients)s
