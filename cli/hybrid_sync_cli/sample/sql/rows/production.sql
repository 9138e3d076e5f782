-- What is made: products, courses, orders, jaws, projects, plans, tasks.
-- Orders come in three runs: usual ones, then some without a patient, then some whose status no map knows.

insert into dispatch_product (id, code, name, price, valid)
select key(n), 'P-' || lpad(n::text, 3, '0'), 'Product ' || n, 95 + 50 * n, mod(n, 12) > 0
from generate_series(1, 24) n;

insert into dispatch_course (id, product_id, name, weeks, price)
select key(n), case when mod(n, 6) > 0 then key(2 * n) end, 'Course ' || n, 4 * n, 395 + 110 * n
from generate_series(1, 12) n;

insert into dispatch_instruction (id, patient_id, course_id, status, price, notes, complaint, exports, upper_jaw_id,
  lower_jaw_id, deleted, submitted_at, updated_at)
select key(n), pt.id,
       case when mod(n, 10) > 0 then key(1 + pick(h, 1, 12)) end,
       case when n > %(usual_orders)s + %(orders_without_patient)s then 3
         else (array[0, 1, 2, 4])[1 + pick(h, 2, 4)] end,
       local_price(395 + pick(h, 3, 1970), coalesce(o.country, 'US')),
       case when mod(n, 5) = 0 then 'Please mind tooth ' || 11 + mod(n, 38) else '' end,
       case when mod(n, 7) = 0 then 'Crowding' || chr(10) || 'Overbite' else '' end, pick(h, 4, 5),
       case when 2 * n <= %(jaws)s then key(2 * n - 1) end,
       case when 2 * n <= %(jaws)s then key(2 * n) end,
       mod(n, 60) = 0, case when mod(n, 8) > 0 then moment(h, 5, 1200) end, moment(h, 6, 1200)
from generate_series(1, %(orders)s) n
cross join lateral (select hash(%(seed)s, 'order', n) as h offset 0) r
left join dispatch_patient pt on n not between %(usual_orders)s + 1 and %(usual_orders)s + %(orders_without_patient)s
  and pt.id = key(1 + pick(h, 0, %(patients)s))
left join dispatch_office o on o.id = pt.office_id;

insert into dispatch_jaw (id, instruction_id, upper, treatment, aligners)
select key(n), key((n + 1) / 2), mod(n, 2) = 1, pick(h, 0, 3), pick(h, 1, 40)
from generate_series(1, %(jaws)s) n, lateral (select hash(%(seed)s, 'jaw', n) as h offset 0) r;

insert into dispatch_project (id, uid, name, size, public, type, status, creator_id, created_at)
select key(n), random_uuid(h), 'Project ' || n, 1000000 + pick(h, 0, 90000000)::bigint * 40,
       mod(n, 6) = 0, 1 + pick(h, 1, 4), pick(h, 3, 3),
       case when mod(n, 15) > 0 then key(1 + pick(h, 4, %(technicians)s)) end, moment(h, 5, 1200)
from generate_series(1, %(projects)s) n, lateral (select hash(%(seed)s, 'project', n) as h offset 0) r;

-- The last plans hang under orders without a patient, so they lead to no case.
insert into dispatch_plan (id, instruction_id, project_id, number, name, notes, original)
select key(n),
       key(case when n > %(plans)s - %(plans_without_case)s
                                   then %(usual_orders)s + 1 + pick(h, 0, %(orders_without_patient)s)
                                   else 1 + pick(h, 1, %(usual_orders)s) end),
       case when mod(n, 20) > 0 then key(1 + pick(h, 2, %(projects)s)) end,
       1 + mod(n, 9), 'Plan ' || n, case when mod(n, 10) = 0 then 'Refinement ' || mod(n, 4)
         else '' end, mod(n, 9) = 0
from generate_series(1, %(plans)s) n, lateral (select hash(%(seed)s, 'plan', n) as h offset 0) r;

-- The case's current plan is its youngest one; patients and plans point at each other.
update dispatch_patient pt set current_plan_id = y.plan_id
from (select i.patient_id, max(pl.id) as plan_id from dispatch_plan pl
  join dispatch_instruction i on i.id = pl.instruction_id
      where i.patient_id is not null group by i.patient_id) y
where y.patient_id = pt.id;

insert into dispatch_task (id, instruction_id, assignee_id, type, done_at)
select key(n), key(1 + mod(n - 1, %(usual_orders)s)),
       case when pick(h, 0, 10) > 0 then key(1 + pick(h, 1, %(technicians)s)) end,
       1 + mod((n - 1) / %(usual_orders)s, 7), case when pick(h, 2, 5) > 0 then moment(h, 3, 1200) end
from generate_series(1, %(tasks)s) n, lateral (select hash(%(seed)s, 'task', n) as h offset 0) r;
