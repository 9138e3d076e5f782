select earlier(%(seed)s, 'offices', o.id) as id, o.id as legacy_id, o.name, o.address, o.city, o.zip as postal_code,
  o.country,
       case o.country when 'US' then 'USD' when 'JP' then 'JPY' when 'IN' then 'INR' else 'THB' end as currency,
       o.tax_rate, lower(o.emails) as emails, o.sq_customer_id as processor_customer_ref, o.valid as is_active
from dispatch_office o where o.id <= %(earlier_offices)s
