-- cancelled or not: the cancellation came after the purchase was made here
select earlier(%(seed)s, 'purchases', y.id) as id, y.id as legacy_id, earlier(%(seed)s, 'payments',
  y.id) as payment_id,
       earlier(%(seed)s, 'cases', i.patient_id) as case_id, y.paid_price as amount,
       case o.country when 'US' then 'USD' when 'JP' then 'JPY' when 'IN' then 'INR'
         else 'THB' end as currency, y.made_at as purchased_at
from dispatch_payment y join dispatch_office o on o.id = y.office_id
  join dispatch_instruction i on i.id = y.instruction_id
where i.id <= %(earlier_orders)s and i.patient_id <= %(earlier_patients)s and y.office_id <= %(earlier_offices)s
  and y.paid and y.paid_price > 0
