-- Notifications; the context is text that a template engine filled in, and exactly `bad_contexts` of them are not
-- strict JSON, in seven ways.  Some valid ones look wrong: an escaped backslash before u0000, a surrogate pair.

insert into dispatch_notification (id, sender, template_name, template_context, read, sent, send, item_id,
  item_type_id, recipient_id, created_at)
select key(n), 'lab@example.org', (array['order_received', 'plan_ready', 'plan_approved', 'payment_due',
  'payment_received',
         'file_uploaded', 'comment_added', 'shipped'])[1 + pick(h, 0, 8)],
       case when chosen(n, %(bad_contexts)s, %(notifications)s)
            then (array['{"path": "C:\scans\upper.stl"}', '{"note": "cut off\u0000"}', '{"name": "\ud83d"}',
              '{''order'': 7, ''urgent'': True, ''by'': None}',
                        '{"order": 7, "by": ', '{"ratio": NaN}', '{"order": 7,}'])[1 + pick(h, 1, 7)]
            when mod(n, 200) = 0 then '{"path": "C:\\u0000\\x", "face": "\ud83d\ude00", "big": 12345678901234567890.10}'
            else '{"order": ' || n || ', "case": "CASE-' || upper(substr(h, 1, 3)) || '-' || mod(n,
              9000) || '", "amount": "' || pick(h, 1,
              90000) || '.50", "links": ["/orders/' || n || '"], "urgent": false}' end,
       pick(h, 2, 4) > 0, mod(n, 50) > 0, true, k.item_id, case when k.item_id is not null then k.type end,
       key(1 + pick(h, 3, %(users)s)), moment(h, 4, 1200)
from generate_series(1, %(notifications)s) n
cross join lateral (select hash(%(seed)s, 'notification', n) as h offset 0) r
cross join lateral (select (array[11, 12, 15, 21, 58, null])[1 + pick(h, 5, 6)] as type) t
cross join lateral (select t.type, key(1 + pick(h, 6,
         case t.type when 11 then %(patients)s when 12 then %(usual_orders)s when 15 then %(plans)s when 21
           then %(payments)s when 58 then %(users)s end)) as item_id offset 0) k;
