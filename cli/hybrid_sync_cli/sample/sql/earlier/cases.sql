-- the status of those days; current plans were not migrated
select earlier(%(seed)s, 'cases', p.id) as id, p.id as legacy_patient_id,
  'CASE-' || p.suffix || '-' || p.id as number,
       earlier(%(seed)s, 'patients', p.id) as patient_id, earlier(%(seed)s, 'profiles', p.doctor_id) as doctor_id,
       'submitted' as status, p.submitted_at
from dispatch_patient p where p.id <= %(earlier_patients)s
