-- one in ten has married since
select earlier(%(seed)s, 'profiles', u.id) as id, u.id as legacy_id, u.username, lower(u.email) as email,
  u.first_name,
       case when mod(u.id, 10) = 0 then 'Formerly' else u.last_name end as last_name,
       case when u.is_staff then 'technician' when exists (select from dispatch_patient p where p.user_id = u.id)
         then 'patient' else 'doctor' end as type,
       u.is_active, u.is_staff, u.date_joined as joined_at
from auth_user u where u.id <= %(earlier_users)s
