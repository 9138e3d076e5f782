-- What is said and sent: comments, records, states, files.  The integers of comments and records collide.

-- The last comments stand under plans that lead to no case.  A few answer a comment that comes after them.
insert into dispatch_comment (id, plan_id, author_id, parent_id, text, created_at)
select key(n),
       key(case when n > %(comments)s - %(comments_without_case)s
                                   then %(plans)s - pick(h, 0, %(plans_without_case)s)
                                   else 1 + pick(h, 1, %(plans)s - %(plans_without_case)s) end),
       key(1 + pick(h, 2, %(technicians)s + %(doctors)s)),
       case when mod(n, 50) = 1 and n < %(comments)s - %(comments_without_case)s then key(n + 1)
            when mod(n, 3) = 2 then key(1 + pick(h, 3, n - 1)) end,
       'Comment ' || n || case when mod(n, 11) = 0 then chr(10) || 'Ähnlich wie zuvor 😀'
         else '' end, moment(h, 4, 1200)
from generate_series(1, %(comments)s) n, lateral (select hash(%(seed)s, 'comment', n) as h offset 0) r;

insert into dispatch_record (id, target_type_id, target_id, type, text, author_id, group_id, public, created_at)
select key(n), case when n > %(patient_records)s then 58 else 11 end,
       case when n > %(patient_records)s then key(1 + pick(h, 0, %(users)s))
            else key(1 + pick(h, 0, %(patients)s)) end,
       1 + pick(h, 1, 3), 'Record ' || n,
       case when mod(n, 12) > 0 then key(1 + pick(h, 2, %(technicians)s)) end,
       case when mod(n, 4) = 0 then 1 end, mod(n, 2) = 0, moment(h, 3, 1200)
from generate_series(1, %(patient_records)s + %(user_records)s) n, lateral (select hash(%(seed)s, 'record',
  n) as h offset 0) r;

-- The last states lead to no case: first those of orders without a patient, then those of orders that are gone
-- (multiples of eight are no order's key).
insert into dispatch_state (id, instruction_id, status, "on", actor_id, changed_at)
select key(n),
       case when n > %(states)s - %(states_of_lost_orders)s then 8 * (1 + pick(h, 0, %(usual_orders)s / 8))
            when n > %(states)s - %(states_of_lost_orders)s - %(states_without_case)s
              then key(%(usual_orders)s + 1 + pick(h, 1, %(orders_without_patient)s))
            else key(1 + pick(h, 1, %(usual_orders)s)) end,
       1 + pick(h, 2, 6), mod(n, 13) > 0,
       case when mod(n, 8) > 0 then key(1 + pick(h, 3, %(technicians)s)) end, moment(h, 4, 1200)
from generate_series(1, %(states)s) n, lateral (select hash(%(seed)s, 'state', n) as h offset 0) r;

-- An attachment hangs under a record, every other file under an order; the first ones under neither.  One file in
-- forty stands under a second order: the same uid in a row of its own.
insert into dispatch_file (id, uid, name, ext, size, type, status, instruction_id, record_id, product_id, parameters,
  created_at)
select key(n), random_uuid(hash(%(seed)s, 'uid', n - case when mod(n, 40) = 0 then 1 else 0 end)),
       'file-' || n, (array['stl', 'JPG', 'pdf', 'png', 'dcm'])[1 + pick(h, 0, 5)], 1000 + pick(h, 1, 200000000),
       1 + pick(h, 2, 13), case when mod(n, 100) = 0 then 2 else 1 end,
       case when n > %(homeless_files)s and not chosen(n, %(attachments)s, %(files)s)
            then key(1 + pick(h, 3, %(usual_orders)s)) end,
       case when chosen(n, %(attachments)s, %(files)s) then key(1 + pick(h, 4, %(patient_records)s)) end,
       case when mod(n, 30) = 0 then key(1 + pick(h, 5, 24)) end,
       case when mod(n, 5) = 0 then '{"dpi": 300}' end, moment(h, 6, 1200)
from generate_series(1, %(files)s) n, lateral (select hash(%(seed)s, 'file', n) as h offset 0) r;
