select earlier(%(seed)s, 'payments', y.id) as id, y.id as legacy_id, earlier(%(seed)s, 'orders',
  y.instruction_id) as order_id,
       earlier(%(seed)s, 'profiles', y.doctor_id) as doctor_id, earlier(%(seed)s, 'offices',
         y.office_id) as office_id,
       y.total_price as total, y.subtotal_price as subtotal, y.paid_price as paid_amount, y.tax_value as tax,
         y.tax_rate, y.used_credit,
       case o.country when 'US' then 'USD' when 'JP' then 'JPY' when 'IN' then 'INR' else 'THB' end as currency,
       case when y.free then 'free' when y.paid then 'paid' else 'open' end as status, y.made_at
from dispatch_payment y join dispatch_office o on o.id = y.office_id
  join dispatch_instruction i on i.id = y.instruction_id
where i.id <= %(earlier_orders)s and i.patient_id <= %(earlier_patients)s and y.office_id <= %(earlier_offices)s
