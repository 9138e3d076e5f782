-- Payments, the processor's operations, offers, discounts.
-- Exactly `purchases` payments are paid, not cancelled and above zero; of the others one in nine was cancelled, some
-- of those after they were paid.

insert into dispatch_payment (id, instruction_id, order_id, doctor_id, office_id, total_price, subtotal_price,
  paid_price, custom_price,
  additional_price, used_credit, tax_rate, tax_value, paid, canceled, free, installments, made_at)
select key(n), i.id, case when k.bought then 'SQO' || upper(substr(h, 1, 16)) end, pt.doctor_id, pt.office_id,
       m.subtotal + m.tax, m.subtotal, case when k.paid and not k.free then m.subtotal + m.tax else 0 end,
       case when mod(n, 20) = 0 then m.subtotal end, 0, case when mod(n, 33) = 0 then local_price(10, o.country)
         else 0 end,
       o.tax_rate, m.tax, k.paid, k.canceled, k.free,
       case when mod(n, 6) = 0 then '[{"due": "2026-12-01", "share": 0.50}, {"due": "2027-01-01", "share": 0.5}]' end,
         moment(h, 5, 1200)
from generate_series(1, %(payments)s) n
cross join lateral (select hash(%(seed)s, 'payment', n) as h offset 0) r
cross join lateral (select chosen(n, %(purchases)s, %(payments)s) as bought) b
cross join lateral (select bought, bought or mod(n, 14) = 0 as paid, not bought and (mod(n, 9) = 0
  or mod(n, 28) = 0) as canceled,
                           not bought and mod(n, 14) = 0 and mod(n, 28) > 0 as free) k
join dispatch_instruction i on i.id = key(1 + pick(h, 0, %(usual_orders)s))
join dispatch_patient pt on pt.id = i.patient_id
join dispatch_office o on o.id = pt.office_id
cross join lateral (select local_price(250 + pick(h, 1, 163000) / 100.0, o.country) as subtotal) s
cross join lateral (select s.subtotal, round(s.subtotal * o.tax_rate, case o.country when 'JP' then 0
  else 2 end) as tax) m;

-- Every purchase was paid by card, until the last few places, which are refunds (type 2) of every 37th purchase.
insert into dispatch_operation (id, type, price, payment_id, sq_order_id, sq_payment_id, sq_refund_id, card_brand,
  card_bin, card_last, attempts, made_at)
select key(n), k.type,
       case when k.type = 1 then p.paid_price when mod(n, 3) = 0 then p.paid_price else round(p.paid_price / 4,
         case o.country when 'JP' then 0 else 2 end) end,
       p.id, p.order_id, 'SQP' || upper(substr(h, 1, 16)), case when k.type = 2
         then 'SQR' || upper(substr(h, 17, 16)) end,
       (array['VISA', 'MASTERCARD', 'AMEX', 'JCB'])[1 + pick(h, 0, 4)], lpad(pick(h, 1, 999999)::text, 6, '0'),
       lpad(pick(h, 2, 10000)::text, 4, '0'), 1 + pick(h, 3, 3), p.made_at + n * interval '1 second'
from generate_series(1, %(operations)s) n
cross join lateral (select hash(%(seed)s, 'operation', n) as h, case when n > %(operations)s - %(refunds)s then 2
  else 1 end as type,
                           case when n > %(operations)s - %(refunds)s
                             then 1 + mod(37 * (n - (%(operations)s - %(refunds)s)) - 1, %(purchases)s)
                             else n end as purchase) k
join dispatch_payment p on p.id = key((k.purchase::bigint * %(payments)s + %(purchases)s - 1) / %(purchases)s)
join dispatch_office o on o.id = p.office_id;

insert into dispatch_offer (id, product_id, office_id, price, valid)
select key(n), key(1 + mod(n, 24)), key(1 + pick(h, 0, %(offices)s)), 90 + mod(n, 400), mod(n, 5) > 0
from generate_series(1, %(offers)s) n, lateral (select hash(%(seed)s, 'offer', n) as h offset 0) r;

insert into dispatch_discount (id, office_id, percent, code, valid)
select key(n), key(1 + pick(h, 0, %(offices)s)), 5 + mod(n, 20), 'SAVE' || n, mod(n, 6) > 0
from generate_series(1, %(discounts)s) n, lateral (select hash(%(seed)s, 'discount', n) as h offset 0) r;
